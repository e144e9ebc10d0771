"""Train a few steps on made-up tokens and print what came out."""

import torch

from toy_parts.model import GPT
from toy_parts.muon import Muon


class Knobs:
    name: str = "unnamed"
    steps: "1 <= int <= 1000" = 3


class Smoke:
    steps = 2


def run(h):
    torch.manual_seed(1)
    model = GPT(h)
    optimizer = Muon(h, [p for p in model.parameters() if p.ndim == 2])
    if h.after_step:
        averages = [A(h, model) for A in h.after_step]
    losses = []
    for step in range(h.steps):
        ids = torch.arange(2 * 9).view(2, 9) * (step + 3) % h.vocab_size
        loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if h.after_step:
            for average in averages:
                average.update(model)
    if h.after_step:
        for average in averages:
            average.swap_in(model)
    return losses, model.state_dict()


def main(h):
    losses, weights = run(h)
    print(h.name, [f"{loss:.6f}" for loss in losses], len(weights))
