"""What a part is given besides `h`: an environment of one process, a log that keeps quiet, a stream of random tokens."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from golf.recipe import Recipe


class OneProcess:
    """Stands in for `env`: one rank, no GPU. micro_batches: of one optimizer step."""

    def __init__(self, recipe: Recipe, device: str, folder: Path, *, micro_batches: int = 1) -> None:
        import torch

        values = recipe.values
        self.seed, self.iterations = int(values.get("seed", 1)), int(values.get("iterations", 1))
        self.max_wallclock_seconds = 0.0
        self.data_path, self.tokenizer_path, self.run_id = str(folder), str(folder / "tokenizer.model"), "preflight"
        self.distributed, self.cuda = False, False
        self.rank, self.local_rank, self.world_size = 0, 0, 1
        self.grad_accum_steps = micro_batches
        self.device, self.dtype = torch.device(device), torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """No autocast: fp32 on a CPU, and no arithmetic at all on the meta device."""
        return nullcontext()

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Quiet:
    """Stands in for `log`."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    def __call__(self, line: str) -> None:
        """Say nothing."""

    def record(self, **fields: Any) -> None:
        """Keep nothing."""


class RandomStream:
    """Stands in for the validation stream: three documents of random tokens, two bytes each."""

    def __init__(self, tokens: int, vocab_size: int, bos: int) -> None:
        import torch

        drawn = torch.randint(0, vocab_size, (tokens,), generator=torch.Generator().manual_seed(1))
        self.tokens = torch.where(drawn == bos, (bos + 1) % vocab_size, drawn)
        self.tokens[torch.tensor([0, tokens // 4, tokens // 2])] = bos
        self.target_bytes = torch.full((tokens - 1,), 2)
