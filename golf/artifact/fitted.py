"""What is asked of a fit, and what it found."""

from dataclasses import dataclass

from golf.artifact.fit import Fit, Tried
from golf.challenge import CAP_BYTES


@dataclass(frozen=True)
class Wish:
    """What `--fit` was asked: the whole artifact's bytes, the margin (None: from the seeds' spread), tokens that choose.

    keep_public: only steps and pruning, so that whatever reads the recipe's artifact reads the fitted one.
    """

    total_bytes: int = CAP_BYTES
    margin_bytes: int | None = None
    tokens: int = 65_536
    keep_public: bool = False


@dataclass(frozen=True)
class Fitted:
    """A fit and what it was held to. seed: the one that it was found on; overrides: `key=value` for `golf package`.

    peak_bytes: the most memory that the process held, None where unknown.
    """

    fit: Fit
    seed: int
    total_bytes: int
    margin_bytes: int
    margin_basis: str
    overrides: tuple[str, ...]
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int | None = None

    @property
    def winner(self) -> Tried:
        """The artifact that was chosen."""
        won = (self.fit.plan, self.fit.model_bytes)
        return next(one for one in self.fit.tried if (one.plan, one.model_bytes) == won)

    @property
    def goal_bytes(self) -> int:
        """What the largest kept seed's script and model may weigh together."""
        return self.total_bytes - self.margin_bytes
