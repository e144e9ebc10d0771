"""Checkpoints of a training that no clock ends: `resume.golf` holds weights, statistics, both optimizers and the place in the data.

`train` in a folder that has one goes on from it, to the bit. With other training shards in DATA_PATH it goes on at their
beginning, optimizers and learning rate untouched. Written whole or not at all, removed once `float.golf` stands. With
`keep_states`, `best.golf` is the state of least validation loss and `last.golf` that of the last step; a copy of either named
`resume.golf` trains on.
"""

import math
import os
import zlib

import torch
import torch.distributed as dist

from golf.parts.artifact import RawCoder, read_container, write_container
from golf.parts.data import shard_paths
from golf.parts.tags import collect


class Knobs:
    checkpoint_every: "1 <= int <= 1000000000" = 250  # steps
    keep_states: bool = False  # best.golf and last.golf stay, optimizers too


class Smoke:
    checkpoint_every = 50


def data_source(env):
    """A number that names the training shards: their names, sizes and first bytes, wherever they lie."""
    total = 0
    for path in shard_paths(env, "train"):
        total = zlib.crc32(f"{os.path.basename(path)} {os.path.getsize(path)}".encode(), total)
        with open(path, "rb") as file:
            total = zlib.crc32(file.read(65_536), total)
    return total


class Checkpoint:
    """A slot for `checkpoint`. Asked after every step; the state is that of `collect(model)` and of the optimizers, by name."""

    def __init__(self, h, env, log, model, optimizers, loader, clock):
        self.h = h
        assert not h.after_step, "`Checkpoint` does not keep averages: take them out of `after_step`"
        self.env, self.model, self.clock = env, model, clock
        groups = [(optimizer, group) for optimizer in optimizers for group in optimizer.param_groups]
        self.state = {
            param: optimizer.state for optimizer, group in groups for param in group["params"]
        }  # of its optimizer
        self.matrices = [param for _, group in groups if "momentum" in group for param in group["params"]]
        self.source, self.source_step = data_source(env), 0  # the step at which these shards began
        if h.keep_states:
            self.best_val_loss = math.inf
        if os.path.exists("resume.golf"):
            self.resume(log, loader)

    @torch.no_grad()
    def resume(self, log, loader):
        tensors, meta = read_container("resume.golf", RawCoder)
        if meta["seed"] != self.env.seed:
            raise ValueError(f"resume.golf is of seed {meta['seed']}, this run of seed {self.env.seed}")
        params = {name: param for name, param, _ in collect(self.model)}
        for entry, tensor in tensors.items():
            name, _, key = entry.partition(":")
            if key:
                self.state[params[name]][params[name]][key] = tensor.to(self.env.device)
            else:
                params[name].copy_(tensor)
        if self.h.keep_states:
            self.best_val_loss = meta.get("best_val_loss", math.inf)
        same = meta["source"] == self.source
        self.clock.step, self.clock.elapsed_seconds = meta["step"], meta["elapsed_seconds"]
        self.source_step = meta["source_step"] if same else meta["step"]
        for _ in range((self.clock.step - self.source_step) * self.env.grad_accum_steps):
            loader.next_batch()
        log(f"resumed: step:{self.clock.step}/{self.env.iterations} {'same' if same else 'other'} data")

    def update(self):
        if self.clock.step % self.h.checkpoint_every == 0:
            self.share_momentum()
            if self.env.rank == 0:
                self.save("resume.golf")

    def validated(self, loss):
        """A validation of the weights as they are found this loss, in nats per token."""
        if self.h.keep_states and loss < self.best_val_loss:
            self.best_val_loss = loss
            self.share_momentum()
            if self.env.rank == 0:
                self.save("best.golf")

    def share_momentum(self):
        """Muon keeps a matrix's momentum on the rank that orthogonalises it; rank 0 writes them all."""
        if self.env.distributed:
            for i, param in enumerate(self.matrices):
                empty = torch.zeros_like(param)
                if self.h.bf16_momentum:
                    empty = empty.bfloat16()
                momentum = self.state[param][param].setdefault("momentum", empty)
                dist.broadcast(momentum, i % self.env.world_size)

    def save(self, name):
        tensors = {}
        for entry, param, _ in collect(self.model):
            tensors[entry] = param
            tensors |= {f"{entry}:{key}": value for key, value in self.state.get(param, {}).get(param, {}).items()}
        meta = {
            "seed": self.env.seed,
            "step": self.clock.step,
            "elapsed_seconds": self.clock.elapsed_seconds,
            "source": self.source,
            "source_step": self.source_step,
        }
        if self.h.keep_states:
            meta["best_val_loss"] = self.best_val_loss
        write_container(name, tensors, meta, RawCoder)

    def remove(self):
        """Training is over and `float.golf` written."""
        if self.h.keep_states:
            self.share_momentum()
            if self.env.rank == 0:
                self.save("last.golf")
        if self.env.rank == 0 and os.path.exists("resume.golf"):
            os.remove("resume.golf")
