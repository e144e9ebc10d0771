"""What a training of dictionaries is: every choice with its default, checked before anything is computed."""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from golf.errors import GolfError
from golf.models.places import RESID, Site
from golf.sae.kinds import ARCHITECTURES, KINDS

TRANSCODER = "transcoder"  # reads what the MLP reads, rebuilds what it gives
PLACES = (RESID, "attn_out", "mlp_in", "mlp_out", "mlp_hidden", TRANSCODER)
HOOKS = {RESID: "hook_resid_post", "attn_out": "hook_attn_out", "mlp_in": "ln2.hook_normalized", "mlp_out": "hook_mlp_out",
         "mlp_hidden": "mlp.hook_post", TRANSCODER: "ln2.hook_normalized"}  # TransformerLens' names  # fmt: skip
FORMS = ("sum", "mean", "saelens")
RULES = ("golf", "saeco")
MOST_TOKENS = 10**15
UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
L1_INIT = 5e-3  # of most architectures, in the form that is chosen
SNAPSHOTS = 6  # with the final one, as the published runs have


@dataclass(frozen=True)
class Settings:
    """Choices of one run; token counts are tokens of text, and every layer sees each of them.

    The penalty is `l1` (fixed), or moves towards `target_l0` active features from `l1_init`; what is sparse by `k` has none. Without
    either, the target is 32. The published Pythia runs are expansion 32, l1 3e-4, norm none, init independent, decoder unit, no revival,
    no rescaling, batch_tokens 32768, lr 3e-4. What the defaults do against other libraries on planted data: `benchmarks/dictionaries.md`.
    """

    tokens: int = 2_000_000
    expansion: int = 8  # features / width of the stream
    arch: str = "relu"
    place: str = RESID  # of a block (`golf.models.places`), or "transcoder": from mlp_in to mlp_out
    k: int = 32  # active features of topk, batchtopk and matryoshka
    groups: int = 5  # nested dictionaries of matryoshka, each twice the one before
    l1: float | None = None
    l1_form: str = "sum"  # of the code: sum over features, mean over features, or sum beside a squared error summed over dimensions
    l1_warmup: int = 0  # tokens over which the penalty grows from 0
    target_l0: float | None = None
    l1_init: float | None = None  # where a moving penalty starts; None: L1_INIT, or the architecture's own
    adaptive_rule: str = "golf"
    lr: float | None = None  # None: 3e-4 at 32,768 features, times √(32,768 / features)
    lr_warmup: int = 0  # tokens
    lr_decay_frac: float = 0.2  # of the run, at its end, linearly to 0
    batch_tokens: int = 1024
    buffer_tokens: int = 32_768
    init: str = (
        "tied"  # the encoder starts as a multiple of decoderᵀ; or "independent", PyTorch's own, as the published runs
    )
    decoder: str = "auto"  # columns of norm "unit" after every step; "free" ones, whose norms weigh the penalty; auto: the architecture's
    norm: str = "sqrt_d"  # scale activations to a mean norm of √d while training (undone in the files), or "none"
    dtype: str = "auto"  # of the products: fp32, bf16 (autocast), auto = bf16 on a GPU
    seq_len: int = 128
    seed: int = 1337
    snapshots: str = str(SNAPSHOTS)
    dead_tokens: int = (
        10_000_000  # a feature is dead that did not fire for so many tokens (at most a twentieth of the run)
    )
    aux: float = 1.0  # weight of the dead features' share in the error, of what is sparse by k only
    revive: bool = True  # with a penalty: a dead feature starts again at an input that is rebuilt badly
    rescale: bool = (
        True  # of relu: what the penalty took from the codes is given back in the files (`golf.sae.shrinkage`)
    )
    stats_every: int = 0  # steps between rows of the statistics; 0: about 200 rows

    def __post_init__(self) -> None:
        for name, allowed in (("arch", ARCHITECTURES), ("place", PLACES), ("l1_form", FORMS), ("adaptive_rule", RULES),
                              ("init", ("tied", "independent")), ("decoder", ("auto", "free", "unit")),
                              ("norm", ("none", "sqrt_d")), ("dtype", ("auto", "fp32", "bf16"))):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise GolfError(f"{name} is `{getattr(self, name)}`", f"choose one of {', '.join(allowed)}")
        for name in ("tokens", "expansion", "k", "groups", "batch_tokens", "buffer_tokens", "seq_len"):
            if getattr(self, name) < 1:
                raise GolfError(f"{name} is {getattr(self, name)}", "it must be at least 1")
        for name in ("l1", "target_l0", "l1_init", "lr", "lr_warmup", "l1_warmup", "aux", "stats_every"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise GolfError(f"{name} is {value}", "it must be finite and not negative")
        if not 0 <= self.lr_decay_frac <= 1:
            raise GolfError(f"lr_decay_frac is {self.lr_decay_frac}", "it is a share of the run: 0 to 1")
        if self.l1 is not None and self.target_l0 is not None:
            raise GolfError("both a fixed penalty and a target L0 are named", "either `--l1` or `--target-l0`")
        if not self.penalised and (self.l1 is not None or self.target_l0 is not None):
            raise GolfError(
                f"a {self.arch} dictionary has no penalty: `--k` says how many features are active",
                "leave out `--l1` and `--target-l0`",
            )
        if self.decoder == "free" and not KINDS[self.arch].free:
            raise GolfError(
                f"{self.arch} compares codes, so its decoder's columns have norm 1", "leave out `--decoder`"
            )
        if self.target_l0 == 0 or (self.target_l0 is not None and self.l1_init == 0):
            raise GolfError(
                "a target and the penalty that it starts from must be above 0", "`--target-l0 32 --l1-init 5e-4`"
            )
        if self.steps == 0:
            raise GolfError(
                f"{self.tokens:,} tokens are less than one batch of {self.batch_tokens:,}", "take more `--tokens`"
            )
        self.half_buffer  # noqa: B018  what does not fit together is refused here
        snapshot_points(self.snapshots, self.tokens)

    @property
    def penalised(self) -> bool:
        """Whether a penalty makes codes sparse, and not a number of active features."""
        return KINDS[self.arch].sparse_by == "penalty"

    @property
    def free_decoder(self) -> bool:
        """Whether the decoder's norms are learned while training (files always hold columns of norm 1)."""
        return self.decoder == "free" or (self.decoder == "auto" and KINDS[self.arch].free)

    @property
    def rescales(self) -> bool:
        """Whether written codes are larger than the trained ones."""
        return self.rescale and KINDS[self.arch].shrinks

    def reads(self, layer: int) -> Site:
        """Where a layer's dictionary reads."""
        return Site(layer, "mlp_in" if self.place == TRANSCODER else self.place)

    def rebuilds(self, layer: int) -> Site:
        """What it rebuilds."""
        return Site(layer, "mlp_out" if self.place == TRANSCODER else self.place)

    @property
    def steps(self) -> int:
        """Optimizer steps: whole batches only."""
        return self.tokens // self.batch_tokens

    def rate(self, features: int) -> float:
        """The learning rate: as named, or the published one at its width, scaled as others scale theirs."""
        return 3e-4 * math.sqrt(32_768 / features) if self.lr is None else self.lr

    @property
    def target(self) -> float | None:
        """The L0 that the penalty aims at; None where it is fixed or there is none."""
        if not self.penalised or self.l1 is not None:
            return None
        return 32.0 if self.target_l0 is None else self.target_l0

    @property
    def half_buffer(self) -> int:
        """Tokens that the mixing buffer serves between two refills: whole batches and whole windows."""
        unit = math.lcm(self.batch_tokens, self.seq_len)
        if unit > max(self.buffer_tokens, 4 * self.batch_tokens):
            raise GolfError(f"batches of {self.batch_tokens:,} and windows of {self.seq_len:,} tokens only meet at {unit:,}",
                            "take a batch that is a multiple of the window, as 1024 and 128")  # fmt: skip
        return unit * max(self.buffer_tokens // 2 // unit, 1)

    @property
    def dead_after(self) -> int:
        """Tokens without firing that make a feature dead."""
        return min(self.dead_tokens, self.tokens // 20)

    @property
    def rows_every(self) -> int:
        """Steps between two rows of the statistics."""
        return self.stats_every or max(self.steps // 200, 1)

    def as_config(self) -> dict[str, Any]:
        """The choices as plain values."""
        return asdict(self)


def l1_sum(value: float, form: str, features: int, model_dim: int) -> float:
    """A penalty as the weight of Σ|z| (mean over tokens) beside a squared error that is a mean over tokens and dimensions.

    form: "sum" that itself; "mean" beside the mean over features too; "saelens" beside an error summed over dimensions.
    """
    return value / {"sum": 1, "mean": features, "saelens": model_dim}[form]


def hook_name(layer: int, place: str = RESID) -> str:
    """What TransformerLens calls the place that a dictionary reads."""
    return f"blocks.{layer}.{HOOKS[place]}"


def count_of(text: str) -> int:
    """`300M`, `1.5K`, `2_000_000` as a number of tokens."""
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)([KMBkmb]?)", text.strip())
    if found is None:
        raise GolfError(f"`{text}` is no number of tokens", "write `300M`, `500K` or `2000000`")
    value = float(found[1].replace("_", "").replace(",", "")) * UNITS[found[2].upper()]
    if value > MOST_TOKENS:
        raise GolfError(
            f"`{text}` is more than {MOST_TOKENS:,} tokens", "nobody has so many: write `300M`, `500K` or `2000000`"
        )
    if value != int(value):
        raise GolfError(f"`{text}` is {value} tokens", "take a whole number")
    return int(value)


def spans_of(text: str) -> list[int]:
    """`0,6,12` or `3-8` as numbers, sorted."""
    try:
        spans = [[int(end) for end in word.split("-")] for word in text.split(",")]
        return sorted({layer for span in spans for layer in range(span[0], span[-1] + 1)})
    except (ValueError, IndexError):
        raise GolfError(f"`{text}` names no layers", "write `all`, `0,6,12` or `3-8`") from None


def label_of(tokens: int) -> str:
    """`50M`, `1500K`, `12345`: the largest unit that tells it exactly."""
    unit = next(unit for unit in ("B", "M", "K", "") if tokens % UNITS[unit] == 0)
    return f"{tokens // UNITS[unit]}{unit}"


def snapshot_points(wish: str, tokens: int) -> dict[int, str]:
    """{tokens: label} of the snapshots before the final one: `6` in all, evenly, or a list as `50M,100M,final`.

    Points at or beyond the end of the run are left out: the final one is that.
    """
    if re.fullmatch(r"[0-9]{1,3}", wish.strip()):
        count = int(wish)
        if count < 1:
            raise GolfError("no snapshot would be kept", "the final one always is: `--snapshots 1`")
        every = _round(tokens / count)
        points = [every * i for i in range(1, count)]
    else:
        points = [count_of(word) for word in wish.split(",") if word.strip() and word.strip() != "final"]
    return {point: label_of(point) for point in sorted(points) if 0 < point < tokens}


def _round(tokens: float) -> int:
    """Two digits, so that labels are short."""
    unit: int = 10 ** max(math.floor(math.log10(max(tokens, 1))) - 1, 0)
    return max(round(tokens / unit) * unit, 1)
