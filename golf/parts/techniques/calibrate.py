"""Calibration: what GPTQ must know of every matrix's inputs, H = Σ xᵀx.

Collected between training and export on the weights to be exported; training text only inside the training clock, which
`reserve_seconds` must leave room in. All ranks' inputs are added up (the public scripts used one rank's). Validation text never
enters.

From training text, or from the model's own. Training text after the clock was ruled illegal; the model's own text is accepted, costs
minutes, and calibrates a little worse (PR #1019).
"""

import time

import torch
import torch.distributed as dist

from golf.parts.artifact import RawCoder, write_container
from golf.parts.layers import CastedLinear, norm
from golf.parts.techniques.by_tensor import OutputGradients
from golf.parts.techniques.shuffled_sequences import ShuffledSequences


class Knobs:
    calibration_batches: "1 <= int <= 1000000" = 64  # micro-batches a rank, of training text
    own_text_sequences: "1 <= int <= 1000000" = (
        64  # sequences of train_seq_len tokens over all ranks, of the model's own text
    )
    own_text_temperature: "0 < float <= 100" = 0.8


class Smoke:
    calibration_batches = 4
    own_text_sequences = 8


def from_training_text(h, env, log, model, loader):
    """Calibrate on the batches that training would have seen next (the public scripts go back to the first ones)."""
    begun = time.perf_counter()
    collect_hessians(
        h, env, log, model, (loader.next_batch()[0].to(env.device) for _ in range(h.calibration_batches)), begun
    )


def from_training_rows(h, env, log, model, loader):
    """Calibrate on shuffled rows of train_seq_len tokens, across documents, where training packs documents (PR #1530)."""
    rows = ShuffledSequences(h, env)
    from_training_text(h, env, log, model, rows)


@torch.no_grad()
def from_own_text(h, env, log, model, loader):
    """Calibrate on text sampled from the model, eight sequences at a time."""
    begun = time.perf_counter()
    rng = torch.Generator(env.device).manual_seed(1000 * env.seed + env.rank)
    own = h.own_text_sequences * (env.rank + 1) // env.world_size - h.own_text_sequences * env.rank // env.world_size
    with env.autocast():
        batches = [sampled_text(h, env, model, min(8, own - first), rng) for first in range(0, own, 8)]
    collect_hessians(h, env, log, model, batches, begun)


def sampled_text(h, env, model, sequences, rng):
    """(sequences, train_seq_len) token ids; the first of each is any token."""
    ids = torch.randint(h.vocab_size, (sequences, 1), generator=rng, device=env.device)
    while ids.size(1) < h.train_seq_len:
        logits = model(ids)[:, -1].float() / h.own_text_temperature
        ids = torch.cat((ids, torch.multinomial(logits.softmax(-1), 1, generator=rng)), dim=1)
    return ids


class InputGram:
    """Σ xᵀx of the vectors that pass a hook: (width, width), fp32."""

    def __init__(self, h, width, device):
        self.h = h
        self.total = torch.zeros(width, width, device=device)
        if h.wide_groups:
            self.rows = torch.zeros((), device=device)

    def add(self, x):
        x = x.detach().float().flatten(0, -2)
        self.total.addmm_(x.T, x)
        if self.h.wide_groups:
            self.rows += len(x)

    def before(self, module, inputs):
        self.add(inputs[0])

    def after(self, module, inputs, output):
        self.add(norm(output))


def watch(h, env, model):
    """({parameter: InputGram}, hooks) of every matrix large enough for codes; a tied embedding sees what its head reads."""
    grams = {"tok_emb.weight": InputGram(h, h.model_dim, env.device)}
    hooks = [model.route.register_forward_hook(grams["tok_emb.weight"].after)]
    for name, module in model.named_modules():
        if isinstance(module, CastedLinear) and module.weight.numel() > h.keep_float_numel:
            gram = grams[f"{name}.weight"] = InputGram(h, module.weight.size(1), env.device)
            hooks.append(module.register_forward_pre_hook(gram.before))
    return grams, hooks


def output_gradients(h, env, log, model, names, batches):
    """{name:fisher}: mean square of the loss's gradient at every output of the matrices, the same on every rank.

    {name:reads, name:felt} of the embedding: how often a batch looks every row up, and the mean square of the gradient there by column.
    """
    begun = time.perf_counter()
    found = OutputGradients(h, env, model, names)
    frozen = [param for param in model.parameters() if param.requires_grad]
    model.requires_grad_(False)
    with env.autocast():
        for ids in batches:
            found.learn(ids)
    found.close()
    for param in frozen:
        param.requires_grad_(True)
    if env.world_size > 1:
        for name in names:
            dist.all_reduce(found.total[name])
            dist.all_reduce(found.rows[name])
        dist.all_reduce(found.reads)
        dist.all_reduce(found.felt)
    env.synchronize()
    log(f"calibration:gradients of {len(batches)} batches in {time.perf_counter() - begun:.1f}s")
    of_outputs = {f"{name}:fisher": (found.total[name] / found.rows[name].clamp(min=1)).cpu() for name in names}
    return {
        **of_outputs,
        "tok_emb.weight:reads": (found.reads / (len(batches) * env.world_size)).cpu(),
        "tok_emb.weight:felt": (found.felt / found.reads.sum()).cpu(),
    }


@torch.no_grad()
def collect_hessians(h, env, log, model, batches, begun):
    """Run the batches of ids through the raw model; rank 0 writes {parameter: H per batch} to `hessians.golf`, fp32."""
    grams, hooks = watch(h, env, model)
    count = torch.zeros((), device=env.device)
    if h.steps:
        batches = list(batches)
    with env.autocast():
        for ids in batches:
            model(ids)
            count += 1
    for hook in hooks:
        hook.remove()
    if h.steps:
        gradients = output_gradients(h, env, log, model, grams, batches[: h.fisher_batches])
    if env.world_size > 1:
        for gram in grams.values():
            dist.all_reduce(gram.total)
            if h.wide_groups:
                dist.all_reduce(gram.rows)
        dist.all_reduce(count)
    if env.rank == 0:
        hessians = {name: gram.total / count for name, gram in grams.items()}
        if h.wide_groups:
            hessians |= {f"{name}:rows": gram.rows / count for name, gram in grams.items()}
        if h.steps:
            hessians |= gradients
        write_container("hessians.golf", hessians, {"seed": env.seed, "batches": int(count)}, RawCoder)
    env.synchronize()
    seconds = time.perf_counter() - begun
    log(f"GPTQ:collected {len(grams)} Hessians in {seconds:.1f}s")
    log.record(calibration_seconds=seconds)
