"""SWA: export the mean of snapshots taken while the learning rate is low (PR #162, Raahil Shah; tight: PR #374, @unnir's line).

A snapshot every `swa_every` steps once the learning rate's factor is below `swa_start`. Summed in fp32, also for tables that
train in bf16.
"""

import torch

from golf.parts.tags import collect


class Knobs:
    swa_start: "0 < float <= 2" = 0.2  # factor on the base learning rates
    swa_every: "1 <= int <= 1000000000" = 50  # steps


class Smoke:
    swa_every = 5


class SWA:
    def __init__(self, h, model):
        self.h = h
        self.params = [entry.param for entry in collect(model)]
        self.sums = [torch.zeros_like(param, dtype=torch.float32) for param in self.params]
        self.count = 0

    @torch.no_grad()
    def update(self, clock):
        if clock.lr_factor < self.h.swa_start and clock.step % self.h.swa_every == 0:
            self.count += 1
            for total, param in zip(self.sums, self.params):
                total.add_(param.float())


@torch.no_grad()
def swa_weights(model, averages):
    """Put the mean into the model: a slot for `export_weights`. With fewer than two snapshots the last step's weights stay."""
    swa = averages["SWA"]
    if swa.count > 1:
        for total, param in zip(swa.sums, swa.params):
            param.copy_(total / swa.count)


def swa_or_ema_weights(model, averages):
    """The same, where an EMA is kept too: it counts with fewer than two snapshots (PR #1573)."""
    if averages["SWA"].count > 1:
        swa_weights(model, averages)
    else:
        averages["EMA"].export()
