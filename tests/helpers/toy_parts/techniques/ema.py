"""EMA: an exponential average of the weights, exported in their place."""

import torch


class Knobs:
    ema_decay: "0 < float < 1" = 0.9


class EMA:
    def __init__(self, h, model):
        self.h = h
        self.average = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model):
        for name, p in model.named_parameters():
            self.average[name].lerp_(p, 1 - self.h.ema_decay)

    @torch.no_grad()
    def swap_in(self, model):
        for name, p in model.named_parameters():
            p.copy_(self.average[name])
