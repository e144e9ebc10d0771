"""E1 on golf's own evaluators: the largest gain over the law of random text, by recipe, vocabulary and rate; the theorem says under 20 nats.

    python benchmarks/referee.py --seeds 20 pr1809 pr740 …        (default: every recipe that composes)

A table in Markdown. Small whole runs on the CPU; nothing of it is a challenge result.
"""

import argparse
import tempfile
from pathlib import Path

from golf.compose import compose
from golf.errors import GolfError
from golf.harness.box import Box
from golf.harness.texts import uniform_text
from golf.harness.vocabulary import mixed
from golf.harness.whole import Whole, Wish
from golf.recipe import load_recipe
from golf.rules.experiments.law import covered, gain_of
from golf.rules.experiments.printed import printed_scores

TARGETS, TRAIN = 8192, 24_000
ALL = (
    "baseline",
    "pr414",
    "pr549",
    "pr740",
    "pr740_v1",
    "pr740_legal",
    "pr1019",
    "pr1394",
    "pr1493",
    "pr1573",
    "pr1809",
)
SETTINGS = {"as it is": (1.0, {}), "amplified": (30.0, {"TTT_LR": "0.1"})}


def rows_of(name: str, seeds: int) -> list[str]:
    text = compose(load_recipe(name))
    rows = []
    with tempfile.TemporaryDirectory() as place, Box(unsafe=True) as box:
        script = Path(place) / "train_gpt.py"
        script.write_text(text)
        whole = Whole(box, script, None, sources=(text,))
        for size in (1024, 64):
            vocabulary = mixed(size)
            for setting, (rate, extra) in SETTINGS.items():
                worst, ran, seconds, fault = float("-inf"), 0, 0.0, ""
                for seed in range(seeds):
                    val = uniform_text(vocabulary, TARGETS, seed)
                    train = uniform_text(vocabulary, TRAIN, 1000 + seed)
                    played = whole.play(vocabulary, train.ids, val.ids, Wish(seed=seed, late_rate=rate, extra=extra))
                    scores = printed_scores(played.text)
                    if not played.ran or not scores:
                        fault = played.fault or "no score"
                        continue
                    gains = [
                        gain
                        for score in scores
                        if covered(score, val).exact and (gain := gain_of(score, val, len(scores)))
                    ]
                    worst = max([worst, *(gain.nats for gain in gains)])
                    ran, seconds = ran + 1, seconds + played.cpu_seconds
                mean = f"{seconds / ran:.1f}" if ran else "-"
                rows.append(
                    f"| {name} | {size} | {setting} | {ran} of {seeds} | {worst:,.1f} | {mean} | {fault[:60]} |"
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--seeds", type=int, default=20)
    wanted = parser.parse_args()
    print(
        "| recipe | vocabulary | rates | runs | largest gain, nats | CPU s a run | fault |\n|---|---:|---|---:|---:|---:|---|"
    )
    for name in wanted.recipes or ALL:
        try:
            print("\n".join(rows_of(name, wanted.seeds)), flush=True)
        except GolfError as fault:
            print(f"| {name} | | | | | | {fault.message} |", flush=True)


if __name__ == "__main__":
    main()
