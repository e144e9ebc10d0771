"""What dictionaries cost: a step by width and expansion, a whole run by layers, one forward for all layers against one each.

    python benchmarks/sae.py > benchmarks/sae.md

Processor seconds of one thread, so that a busy machine does not change them; the median of the repeats. The source is the small model of
the glassllm package (4 layers of 128), and for other widths activations at random: a step's cost does not depend on their values.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from golf.models.corpus import Windows
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.buffer import MixingBuffer
from golf.sae.layer import LayerTraining
from golf.sae.settings import Settings
from golf.sae.train import train

REPEATS = 7
CPU = torch.device("cpu")


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median processor seconds of a call, after two that are not counted."""
    found = []
    for number in range(repeats + 2):
        begun = time.process_time()
        call()
        if number >= 2:
            found.append(time.process_time() - begun)
    return statistics.median(found)


def step_seconds(width: int, expansion: int, arch: str = "relu", batch: int = 1024) -> float:
    """Of one step of one layer."""
    settings = Settings(expansion=expansion, arch=arch, batch_tokens=batch)
    training = LayerTraining(settings, width, CPU)
    x = torch.randn(batch, width, generator=torch.Generator().manual_seed(0))
    training.begin(x)
    return seconds(lambda: training.step(x))


def steps() -> None:
    print("\n## One layer's step, 1,024 tokens\n")
    print("| width d | expansion | features F | arch | ms a step | tokens / s | GFLOP/s (10·d·F a token) |")
    print("| ---: | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
    cases = [(d, 8, "relu") for d in (64, 128, 256, 512)] + [(128, e, "relu") for e in (4, 16, 32, 64)]
    for width, expansion, arch in [*cases, (128, 8, "topk"), (128, 8, "batchtopk")]:
        took = step_seconds(width, expansion, arch)
        flop = 10 * width * width * expansion * 1024
        print(f"| {width} | {expansion} | {width * expansion:,} | {arch} | {1000 * took:.1f} | {1024 / took:,.0f} "
              f"| {flop / took / 1e9:.1f} |", flush=True)  # fmt: skip


def harvest(source: Source) -> None:
    print(f"\n## The forwards that feed them ({source.name}, windows of {source.seq_len})\n")
    print("| layers | one forward for all: µs a token | one forward a layer: µs a token |")
    print("| ---: | ---: | ---: |", flush=True)
    windows = Windows(source.tokens("train"), source.seq_len, 0)
    ids = torch.from_numpy(windows.next(16))
    for count in range(1, source.num_layers + 1):
        layers = list(range(count))

        def each(layers: list[int] = layers) -> None:
            for layer in layers:
                source.residuals(ids, [layer])

        together = seconds(lambda layers=layers: source.residuals(ids, layers))
        print(f"| {count} | {1e6 * together / ids.numel():.1f} | {1e6 * seconds(each) / ids.numel():.1f} |", flush=True)


def whole(source: Source) -> None:
    print(
        f"\n## A whole run by layers ({source.name}, d {source.model_dim}, expansion 8, 65,536 tokens, buffer 32,768)\n"
    )
    print("| layers | tokens / s | tokens · layers / s | forwards, share of the time |")
    print("| ---: | ---: | ---: | ---: |", flush=True)
    text = source.tokens("train")
    for count in (1, 2, 4):
        layers = list(range(source.num_layers - count, source.num_layers))
        settings = Settings(tokens=65_536, seq_len=source.seq_len)
        with TemporaryDirectory() as folder:
            begun = time.process_time()
            train(source, text, Path(folder) / "run", settings, layers)
            took = time.process_time() - begun
        buffer = MixingBuffer(source, Windows(text, source.seq_len, 0), layers, settings.half_buffer, 1024, 0)
        begun = time.process_time()
        buffer.fill()
        halves = settings.tokens // settings.half_buffer
        forwards = (
            (time.process_time() - begun) * (halves + 1) / 2
        )  # two halves to begin with, and one after each but the last
        print(
            f"| {count} | {65_536 / took:,.0f} | {65_536 * count / took:,.0f} | {100 * forwards / took:.0f} % |",
            flush=True,
        )


def saving(source: Source) -> None:
    print("\n## Saving (fsynced, so in wall seconds) and what it takes on disk\n")
    print("| what | bytes | seconds |")
    print("| --- | ---: | ---: |", flush=True)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        settings = Settings(tokens=16_384, seq_len=source.seq_len)
        train(source, source.tokens("train"), place, settings, stop=lambda tokens: True)
        begun = time.monotonic()
        train(source, source.tokens("train"), place, settings, resume=True, stop=lambda tokens: True)
        took = time.monotonic() - begun
        print(
            f"| state of {source.num_layers} layers (load, one step, save) | {(place / 'state.pt').stat().st_size:,} | {took:.2f} |"
        )
        train(source, source.tokens("train"), place, settings, resume=True)
        print(
            f"| one dictionary of 1,024 features | {(place / 'sae_layer00_final.pt').stat().st_size:,} | |", flush=True
        )


def main() -> None:
    torch.set_num_threads(1)
    source = open_source("glassllm", "cpu")
    print("# What dictionaries cost\n")
    print(f"By `python benchmarks/sae.py`: processor seconds of one thread of this machine's CPU, torch {torch.__version__}, "
          f"median of {REPEATS}.")  # fmt: skip
    steps()
    harvest(source)
    whole(source)
    saving(source)


if __name__ == "__main__":
    main()
