"""What may differ between two runs of one submission: seed, paths, clocks, rank. The only reads of the environment."""

import os

import torch


class Knobs:
    seed: "0 <= int < 4294967296" = 1337  # used when SEED is not set
    iterations: "1 <= int <= 1000000000" = 20_000  # steps, the cap that holds when the clock does not
    max_wallclock_seconds: "0 <= float <= 1e7" = 600.0  # training clock; 0 counts in steps
    micro_batches: "0 <= int <= 65536 and int % 8 == 0" = 0  # of a step, over all ranks | 0 for the contest's 8
    vocab_size: "4 <= int <= 65536" = 1024  # of the SentencePiece model
    data_suffix: str = ""  # of the names of data set and tokenizer: how the text was transformed


class Smoke:
    iterations = 200
    micro_batches = 8
    vocab_size = 1024


class Env:
    def __init__(self, h):
        get = os.environ.get
        self.seed = int(get("SEED", h.seed))
        self.iterations = int(get("ITERATIONS", h.iterations))
        self.max_wallclock_seconds = float(get("MAX_WALLCLOCK_SECONDS", h.max_wallclock_seconds))
        if h.data_suffix:
            self.data_path = get("DATA_PATH", f"./data/datasets/fineweb10B_sp{h.vocab_size}_{h.data_suffix}")
            self.tokenizer_path = get(
                "TOKENIZER_PATH", f"./data/tokenizers/fineweb_{h.vocab_size}_bpe_{h.data_suffix}.model"
            )
        else:
            self.data_path = get("DATA_PATH", f"./data/datasets/fineweb10B_sp{h.vocab_size}")
            self.tokenizer_path = get("TOKENIZER_PATH", f"./data/tokenizers/fineweb_{h.vocab_size}_bpe.model")
        self.run_id = get("RUN_ID", f"seed{self.seed}")
        self.distributed = "RANK" in os.environ and "WORLD_SIZE" in os.environ
        self.rank = int(get("RANK", 0))
        self.local_rank = int(get("LOCAL_RANK", 0))
        self.world_size = int(get("WORLD_SIZE", 1))
        assert 8 % self.world_size == 0, (
            f"WORLD_SIZE={self.world_size} must divide 8, so that a step is the same 8 micro-batches"
        )
        assert h.micro_batches % 8 == 0, f"micro_batches is {h.micro_batches}: it must be a multiple of 8"
        self.grad_accum_steps = 8 // self.world_size
        if h.micro_batches:
            self.grad_accum_steps = h.micro_batches // self.world_size
        self.cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", self.local_rank) if self.cuda else torch.device("cpu")
        self.dtype = torch.bfloat16 if self.cuda else torch.float32  # of the activations

    def autocast(self):
        """bf16 activations on a GPU, plain fp32 on a CPU."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.cuda)

    def synchronize(self):
        """Wait for the device, so that a clock reading means something."""
        if self.cuda:
            torch.cuda.synchronize()


def sent(env, tensor):
    """The tensor on the device; the host goes on and need not wait for what still runs there."""
    return tensor.to(env.device, non_blocking=True)
