"""How a fit is shown: a line while it is found, the table of what was tried, what it was held to."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from golf.artifact.fit_plot import kl_factor

if TYPE_CHECKING:
    from golf.artifact.fit import Coded, Tried
    from golf.artifact.fitted import Fitted

COLUMNS = ("plan", "model", "room left", "KL predicted", "KL", "seconds", "verdict")


def describe(one: "Tried") -> str:
    """One line while it is found."""
    room = one.target_bytes - one.model_bytes
    nats = f", KL {one.kl_nats:.5f} nats" if one.kl_nats is not None else ""
    return f"{one.plan}: {one.model_bytes:,} bytes, {abs(room):,} {'left' if room >= 0 else 'too many'}{nats}"


def describe_coder(one: "Coded") -> str:
    """One line of a coder on the recipe's own artifact."""
    side = "below" if one.left_bytes >= 0 else "above"
    return f"coder {one.coder}: {one.model_bytes:,} bytes, {abs(one.left_bytes):,} {side} what its script leaves"


def rows_of(fitted: "Fitted") -> list[list[str]]:
    """The table of what was tried; dials, predicted bytes and errors of outputs are in the JSON. KL predicted: from the loss's gradients."""
    factor = kl_factor(fitted.fit) or 0.0
    return [
        [
            one.plan, f"{one.model_bytes:,}", f"{one.target_bytes - one.model_bytes:,}",
            f"{factor * one.from_gradients:.5f}" if factor and one.from_gradients is not None else "",
            "" if one.kl_nats is None else f"{one.kl_nats:.5f}", f"{one.seconds:.1f}",
            "chosen" if one is fitted.winner else "" if one.fits else "over",
        ]
        for one in fitted.fit.tried
    ]  # fmt: skip


def remarks_of(fitted: "Fitted") -> list[str]:
    """What the fit was held to, and how to get it again."""
    coders = fitted.fit.coders
    peak = f", {fitted.peak_bytes / 1e6:,.0f} MB of memory at most" if fitted.peak_bytes else ""
    first = (
        [
            "the recipe's own settings by each coder, net of its script: "
            + ", ".join(
                f"{one.coder} {abs(one.left_bytes):,} {'left' if one.left_bytes >= 0 else 'over'}" for one in coders
            )
        ]
        if coders
        else []
    )
    return [
        *first,
        *([fitted.fit.not_tried] if fitted.fit.not_tried else []),
        f"fitted on seed {fitted.seed}: {fitted.winner.plan}, {fitted.fit.target_bytes - fitted.fit.model_bytes:,} bytes below "
        f"{fitted.total_bytes:,} − {fitted.margin_bytes:,} ({fitted.margin_basis})",
        f"the same again: `golf package {' '.join(fitted.overrides)} --pack`"
        if fitted.overrides
        else "as the recipe says",
        f"found in {fitted.seconds:,.1f} s, {fitted.cpu_seconds:,.1f} s of processors{peak}",
    ]


def to_json(fitted: "Fitted") -> dict[str, Any]:
    """For `--json`."""
    return {
        "total_bytes": fitted.total_bytes,
        "margin_bytes": fitted.margin_bytes,
        "margin_basis": fitted.margin_basis,
        "seed": fitted.seed,
        "plan": fitted.fit.plan,
        "not_tried": fitted.fit.not_tried,
        "coders": [{**asdict(one), "left_bytes": one.left_bytes} for one in fitted.fit.coders],
        "seconds": fitted.seconds,
        "cpu_seconds": fitted.cpu_seconds,
        "peak_bytes": fitted.peak_bytes,
        "overrides": list(fitted.overrides),
        "tried": [{**asdict(one), "fits": one.fits, "chosen": one is fitted.winner} for one in fitted.fit.tried],
    }
