"""The features of a layer as one static page: it loads nothing."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from golf.figures.page import document


def feature_page(title: str, remark: str, features: Sequence[Mapping[str, Any]]) -> str:
    """The whole page; features: rows of `golf.sae.features.describe_features`."""
    known = {row["feature"] for row in features}
    index = " ".join(f'<a href="#f{row["feature"]}">{row["feature"]}</a>' for row in features)
    return document(title, f"<p>{escape(remark)}</p><p>{index}</p>{''.join(_section(row, known) for row in features)}")


def _section(row: Mapping[str, Any], known: set[int]) -> str:
    near = ", ".join(
        f'<a href="#f{other}">{other}</a> {cosine:+.2f}' if other in known else f"{other} {cosine:+.2f}"
        for other, cosine in row["neighbours"]
    )
    parts = [
        f'<section id="f{row["feature"]}"><h2>Feature {row["feature"]}</h2><p class="dim">fires on {row["density"]:.3%} of tokens, '
        f"importance {row['importance']:.4g}, largest {row['largest']:.3g}</p>{_histogram(row['histogram'])}",
        "".join(_context(context, row["largest"]) for context in row["contexts"]),
    ]
    for name in ("promoted", "suppressed"):
        if row[name]:
            tokens = ", ".join(f"<code>{escape(token)}</code> {value:+.2f}" for token, value in row[name])
            parts.append(f"<p>{name}: {tokens}</p>")
    return "".join([*parts, f"<p>like it: {near}</p></section>"])


def _histogram(counts: Sequence[int]) -> str:
    """Bars on a logarithmic scale, as inline SVG."""
    import math

    most = math.log1p(max([*counts, 1]))
    bars = "".join(
        f'<rect x="{12 * place}" y="{40 - 40 * math.log1p(count) / most:.1f}" width="10" height="{40 * math.log1p(count) / most:.1f}">'
        f"<title>{count:,}</title></rect>"
        for place, count in enumerate(counts)
    )
    label = "codes above zero, from 0 to the largest; heights are logarithms of counts"
    return (
        f'<svg width="{12 * len(counts)}" height="40" role="img" aria-label="{label}" fill="currentColor">{bars}</svg>'
    )


def _context(context: Mapping[str, Any], largest: float) -> str:
    spans = []
    for place, (token, code) in enumerate(zip(context["tokens"], context["codes"], strict=True)):
        share = max(min(code / largest, 1.0), 0.0) if largest > 0 else 0.0
        style = f' style="background:rgba(255,150,0,{0.75 * share:.2f})" title="{code:g}"' if share > 0 else ""
        weight = ("<b>", "</b>") if place == context["at"] else ("", "")
        spans.append(f"<span{style}>{weight[0]}{escape(token)}{weight[1]}</span>")
    return f'<p style="white-space:pre-wrap">{"".join(spans)}</p>'
