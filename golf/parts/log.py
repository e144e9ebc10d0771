"""The run's log: the challenge's own line formats, and one machine line at the end.

Every value is what this run measured; a field that a run could not measure is absent or null.

`RESULT_FIELDS` is the one definition of the `golf_result` line; golf's log reader imports it from here, and it does not ship.
"""

import json
import os

RESULT_SCHEMA = 1

# name: (type, unit, nullable)
RESULT_FIELDS = {
    "schema": ("int", "", False),
    "name": ("str", "", False),  # of the recipe
    "seed": ("int", "", False),
    "phases": ("list[str]", "", False),  # what this process ran: train, export, eval
    "device": ("str", "", False),  # "NVIDIA H100 80GB HBM3", "cpu"
    "world_size": ("int", "processes", False),
    "torch": ("str", "", False),
    "attention": ("str", "", False),  # "fa3" or "sdpa"
    "dtype": ("str", "", False),  # of the activations
    "params": ("int", "parameters", False),
    "vocab_size": ("int", "", False),
    "train_seq_len": ("int", "tokens", False),
    "train_batch_tokens": ("int", "tokens", False),
    "max_wallclock_seconds": ("float", "s", False),  # 0: counted in steps
    "iterations": ("int", "steps", False),
    "steps": ("int", "steps", True),
    "stop_reason": ("str", "", True),  # "wallclock_cap" or "iterations"
    "train_loss": ("float", "nats/token", True),
    "setup_seconds": ("float", "s", False),
    "compile_seconds": ("float", "s", True),  # warm-up before the training clock, weights restored after it
    "train_seconds": ("float", "s", True),
    "calibration_seconds": ("float", "s", True),
    "serialization_seconds": ("float", "s", True),
    "eval_seconds": ("float", "s", True),  # all reports together
    "step_ms": ("float", "ms", True),
    "peak_memory_mib": ("int", "MiB", True),
    "val_tokens": ("int", "tokens", True),
    "val_bytes": ("int", "bytes", True),
    "pre_quant_val_loss": ("float", "nats/token", True),
    "pre_quant_val_bpb": ("float", "bits/byte", True),
    "reports": ("list[dict]", "", True),  # one per evaluator, in order: name, val_loss, val_bpb, tokens, bytes, seconds
    "val_loss": ("float", "nats/token", True),  # of the last report: the score
    "val_bpb": ("float", "bits/byte", True),
    "model_bytes": ("int", "bytes", True),
    "code_bytes": ("int", "bytes", False),
    "total_bytes": ("int", "bytes", True),
}


class Log:
    """Prints on rank 0, to stdout and to `logs/<run_id>.txt`; gathers the fields of the result line."""

    def __init__(self, env):
        self.path = None
        if env.rank == 0:
            os.makedirs("logs", exist_ok=True)
            self.path = os.path.join("logs", f"{env.run_id}.txt")
        self.result = {}

    def __call__(self, line):
        if self.path is None:
            return
        print(line, flush=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def record(self, **fields):
        """Keep measured values for the result line."""
        self.result.update(fields)

    def finish(self):
        self(f"golf_result {json.dumps(self.result)}")
