"""The training of one layer's dictionary: a step on a batch of activations, and what is counted on the way."""

from typing import Any

import torch

from golf.sae.dictionary import tie, unscaled, with_unit_columns
from golf.sae.kinds import seeded
from golf.sae.metrics import times_active
from golf.sae.penalty import Penalty
from golf.sae.settings import L1_INIT, Settings, l1_sum
from golf.sae.shrinkage import Shrinkage, given_back

BETAS = (0.9, 0.999)
CLIP_NORM = 1.0  # of the gradient, were the error summed over dimensions as in other libraries; here it is their mean
FREE_NORM = 0.1  # of a free decoder's columns and the encoder's rows at the start
TIED_SHARE = 0.25  # of decoderᵀ in the encoder at the start, where the columns have norm 1
REVIVAL_SHARE = 0.7  # of the run in which dead features start again: later ones would not be ready


class Tally:
    """Sums over the steps since the last row of the statistics, in fp64."""

    def __init__(self, model_dim: int, features: int, device: torch.device) -> None:
        self.sums = {
            name: torch.zeros((), dtype=torch.float64, device=device) for name in ("squares", "error", "l1", "active")
        }
        self.sums["stream"] = torch.zeros(model_dim, dtype=torch.float64, device=device)
        self.fired = torch.zeros(features, dtype=torch.bool, device=device)
        self.tokens = 0

    def add(self, x: torch.Tensor, error: torch.Tensor, z: torch.Tensor, counts: torch.Tensor) -> None:
        """One step: x (N, d), Σ of its squared error, its code, how often each feature fired."""
        self.sums["squares"] += x.double().square().sum()
        self.sums["stream"] += x.double().sum(0)
        self.sums["error"] += error
        self.sums["l1"] += z.sum()
        self.sums["active"] += counts.sum()
        self.fired |= counts > 0
        self.tokens += len(x)

    def row(self, scale: float) -> dict[str, Any]:
        """Means over the tokens since the last row, in the units of the stream (not of the scaled one), and start again."""
        n, width = self.tokens, self.sums["stream"].numel()
        spread = self.sums["squares"] - self.sums["stream"].square().sum() / n
        row = {
            "mse": float(self.sums["error"]) / (n * width) / scale**2,
            "fvu": float(self.sums["error"] / spread) if float(spread) > 0 else None,
            "l1_norm": float(self.sums["l1"]) / n / scale,
            "l0": float(self.sums["active"]) / n,
            "alive": int(self.fired.sum()),
        }
        for value in self.sums.values():
            value.zero_()
        self.fired.zero_()
        self.tokens = 0
        return row

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"sums": self.sums, "fired": self.fired, "tokens": self.tokens}

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        for name, value in state["sums"].items():
            self.sums[name].copy_(value)
        self.fired.copy_(state["fired"])
        self.tokens = state["tokens"]


class LayerTraining:
    """A dictionary with optimizer, penalty and statistics. `begin` looks at the first activations, `step` learns from a batch.

    out_dim: width of what a transcoder rebuilds; None for a dictionary of one place, which rebuilds what it reads.
    """

    def __init__(self, settings: Settings, model_dim: int, device: torch.device, *, out_dim: int | None = None) -> None:
        self.settings, self.scale, self.tokens = settings, 1.0, 0
        self.out_scale = 1.0  # of what is rebuilt
        features = settings.expansion * model_dim
        self.rate = settings.rate(features)
        self.sae = seeded(
            settings.seed, model_dim, features, settings.arch, settings.k, groups=settings.groups, out_dim=out_dim
        )
        if settings.init == "tied":
            norms = (FREE_NORM, FREE_NORM) if settings.free_decoder else (1.0, TIED_SHARE)
            tie(self.sae, *norms)
        self.sae.to(device).train()
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=self.rate, betas=BETAS)
        self.penalty = Penalty(
            self._first_penalty(features),
            target=settings.target,
            rule=settings.adaptive_rule,
            warmup_tokens=settings.l1_warmup,
            total_tokens=settings.steps * settings.batch_tokens,
            steps=settings.steps,
            control=self.sae.control,
        )
        self.silent = torch.zeros(features, dtype=torch.int64, device=device)  # tokens since a feature last fired
        self.tally = Tally(self.sae.out_dim, features, device)
        self.shrinkage = Shrinkage(self.sae.out_dim, device) if settings.rescales else None
        self.stats: list[dict[str, Any]] = []
        self.bf16 = settings.dtype == "bf16" or (settings.dtype == "auto" and device.type == "cuda")

    def _first_penalty(self, features: int) -> float:
        """λ at the first step, in the sum form."""
        s, own = self.settings, self.sae.control.start
        if not s.penalised:
            return 0.0
        named = s.l1 if s.l1 is not None else s.l1_init
        if named is None and own is not None:
            return l1_sum(own, "saelens", features, self.sae.out_dim)
        return l1_sum(L1_INIT if named is None else named, s.l1_form, features, self.sae.out_dim)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def begin(self, x: torch.Tensor, target: torch.Tensor | None = None) -> None:
        """Set the scales and the biases (the means) from the first activations (N, d), of a transcoder also (N, d_out) of its target."""
        if self.settings.norm == "sqrt_d":
            self.scale = _scale(x)
            self.out_scale = self.scale if target is None else _scale(target)
        self.sae.b_pre.copy_((x.double().mean(0) * self.scale).float())
        if target is not None:
            self.sae.decoder.bias.copy_((target.double().mean(0) * self.out_scale).float())

    def step(self, x: torch.Tensor, target: torch.Tensor | None = None) -> float:
        """Learn from x (N, d), activations as the model made them; target (N, d_out): of a transcoder. Returns the loss (scaled units)."""
        x = x * self.scale
        wanted = x if target is None else target * self.out_scale
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            codes = self.sae.before_selection(x)
            z = self.sae.select(codes)
            loss, error = self.sae.loss(codes, z, wanted)
            extra = self._dead_share(codes, error)
        weight = self.penalty.at(self.tokens)
        norms = self.sae.decoder.weight.norm(dim=0) if self.settings.free_decoder else None
        if weight:
            loss = loss + weight * self.sae.sparsity(codes, z, 1.0 if norms is None else norms).mean()
        loss = loss + extra
        if self.shrinkage is not None:
            self.shrinkage.add(wanted, error.detach() + wanted - self.sae.added.detach())
        loss.backward()
        if norms is None:
            self.sae.project_gradient()
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), CLIP_NORM / self.sae.out_dim)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if norms is None:
            self.sae.normalize_decoder()
        self.sae.constrain()
        sizes = z.detach().float() if norms is None else z.detach().float() * norms.detach()  # of what each adds to x̂
        self._count(wanted, error.detach(), sizes)
        self._revive(x, wanted, error.detach())
        return float(loss.detach())

    def _count(self, x: torch.Tensor, error: torch.Tensor, sizes: torch.Tensor) -> None:
        counts = times_active(sizes)
        self.silent.add_(len(x)).masked_fill_(counts > 0, 0)
        self.tally.add(x, error.square().sum().double(), sizes, counts)
        self.penalty.update(float(counts.sum()) / len(x), self.tokens)
        self.tokens += len(x)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _revive(self, x: torch.Tensor, wanted: torch.Tensor, error: torch.Tensor) -> None:
        """Let dead features of a penalised dictionary start again in the direction of what some inputs lack, drawn by squared error.

        After the resampling of Bricken et al. 2023: the decoder's column takes that direction, the encoder's row (a fifth of the
        others' norm) too, or in a transcoder the input's own; bias, own parameters and Adam's means start anew. A feature that never
        fires has no gradient of its own.
        """
        s, total = self.settings, self.settings.steps * self.settings.batch_tokens
        if not s.penalised or not s.revive or self.tokens > REVIVAL_SHARE * total:
            return
        dead = (self.silent >= s.dead_after).nonzero().flatten()[: len(error)]
        if not len(dead):
            return
        squares = error.square().sum(-1).double().cpu()
        rng = torch.Generator().manual_seed(s.seed * 1_000_003 + self.tokens)  # the same after a resume
        picked = torch.multinomial(squares, len(dead), generator=rng).to(error.device)
        lacking = torch.nn.functional.normalize(-error[picked], dim=-1)  # error is x̂ − x
        read = torch.nn.functional.normalize(x[picked] - self.sae.b_pre, dim=-1) if self.sae.transcodes else lacking
        encoder, decoder, bias = self.sae.encoder.weight, self.sae.decoder.weight, self.sae.encoder.bias
        alive = self.silent < s.dead_after
        decoder[:, dead] = lacking.T * (decoder.norm(dim=0)[alive].mean() if alive.any() else 1.0)
        encoder[dead] = read * (0.2 * encoder.norm(dim=1)[alive].mean() if alive.any() else 1.0)
        bias[dead] = 0.0
        touched: list[tuple[torch.Tensor, Any]] = [(encoder, dead), (bias, dead), (decoder, (slice(None), dead))]
        for name, start in self.sae.starts.items():
            own = self.sae.get_parameter(name)
            own[dead] = start
            touched.append((own, dead))
        for weight, index in touched:
            for name in ("exp_avg", "exp_avg_sq"):
                self.optimizer.state[weight][name][index] = 0.0
        self.silent[dead] = 0

    def _dead_share(self, codes: torch.Tensor, error: torch.Tensor) -> torch.Tensor | float:
        """The auxiliary loss of arXiv 2406.04093: the d/2 best dead features should explain what the others left over."""
        if self.settings.penalised or not self.settings.aux:
            return 0.0
        dead = self.silent >= self.settings.dead_after
        count = min(int(dead.sum()), self.sae.model_dim // 2)
        if count == 0:
            return 0.0
        best = codes.masked_fill(~dead, 0.0).topk(count, dim=-1, sorted=False)
        guess = torch.nn.functional.linear(
            torch.zeros_like(codes).scatter(-1, best.indices, best.values), self.sae.decoder.weight
        )
        return self.settings.aux * (guess.float() + error.detach()).square().mean()  # error is x̂ − x

    def lr(self) -> float:
        """The learning rate of the step that begins now."""
        s, total = self.settings, self.settings.steps * self.settings.batch_tokens
        factor = min((self.tokens + s.batch_tokens) / s.lr_warmup, 1.0) if s.lr_warmup else 1.0
        if s.lr_decay_frac:
            factor *= min((total - self.tokens) / (s.lr_decay_frac * total), 1.0)
        return self.rate * factor

    def row(self) -> dict[str, Any]:
        """Close a row of the statistics."""
        dead = int((self.silent >= self.settings.dead_after).sum())
        row = {"tokens": self.tokens, **self.tally.row(self.out_scale), "dead": dead,
               "l1_coeff": self.penalty.at(self.tokens), "lr": self.lr()}  # fmt: skip
        self.stats.append(row)
        return row

    def weights(self) -> dict[str, torch.Tensor]:
        """The dictionary in the units of the stream."""
        state = self.sae.state_dict()
        if self.settings.free_decoder:
            state = with_unit_columns(state)
        if self.shrinkage is not None:
            state = given_back(state, *self.shrinkage.fit())
        weights: dict[str, torch.Tensor] = unscaled(state, self.scale, self.out_scale)
        return weights

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"sae": self.sae.state_dict(), "optimizer": self.optimizer.state_dict(), "penalty": self.penalty.state(),
                "silent": self.silent, "tally": self.tally.state(), "stats": self.stats, "scale": self.scale,
                "out_scale": self.out_scale, "tokens": self.tokens,
                "shrinkage": self.shrinkage.sums if self.shrinkage is not None else {}}  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.sae.load_state_dict(state["sae"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.penalty.load(state["penalty"])
        self.silent.copy_(state["silent"])
        self.tally.load(state["tally"])
        if self.shrinkage is not None:
            self.shrinkage.sums = dict(state["shrinkage"])
        self.stats, self.tokens = list(state["stats"]), state["tokens"]
        self.scale, self.out_scale = state["scale"], state["out_scale"]


def _scale(x: torch.Tensor) -> float:
    """What brings activations (N, d) to a mean norm of √d; 1 for nothing but zeros."""
    norm = float(x.norm(dim=-1).double().mean())
    return float(x.shape[-1] ** 0.5) / norm if norm > 0 else 1.0
