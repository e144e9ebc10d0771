"""What single features are: the contexts in which they fire most, how strongly, which tokens they promote, which others are like them.

contexts    windows of held-out text around the largest codes, at most one a window of the model, with the code of every token
histogram   codes above zero in HISTOGRAM equal bins up to the largest
logits      the head times the decoder's column, less its mean over the vocabulary: tokens most promoted and most suppressed; exact
            but for the last norm's scale where a dictionary is of the residual stream, a first guess elsewhere
neighbours  the features whose decoder columns have the largest cosines with this one
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golf.models.source import Source
from golf.sae.dictionary import Dictionary
from golf.sae.streams import HeldOut

FORMAT = "golf-sae-features/1"
CONTEXTS, AROUND, HISTOGRAM, TOKENS, NEIGHBOURS = 6, 12, 20, 6, 4
PART = 4096  # tokens coded at once


def describe_features(
    source: Source, sae: Dictionary, x: Tensor, text: HeldOut, chosen: Mapping[int, float]
) -> list[dict[str, Any]]:
    """A row for each feature of {feature: its importance}; x: (N, d), what the dictionary reads over all positions of `text`."""
    index = torch.tensor(list(chosen), device=x.device)
    with torch.no_grad():
        codes = torch.cat([sae.encode_only(part, index).float().cpu() for part in x.split(PART)])  # (N, chosen)
        columns = torch.nn.functional.normalize(sae.decoder.weight.detach(), dim=0)
        cosines = (columns[:, index].T @ columns).cpu()
        effects = None
        if source.head is not None and source.head.shape[1] == len(columns):
            effects = (source.head.detach().float() @ columns[:, index].float()).cpu()
            effects = effects - effects.mean(0)
    return [
        {
            "feature": feature,
            "density": float((codes[:, place] > 0).float().mean()),
            "importance": importance,
            "largest": float(codes[:, place].max()),
            "histogram": _histogram(codes[:, place]),
            "contexts": _contexts(source, codes[:, place], text),
            "promoted": _tokens(source, effects[:, place], True) if effects is not None else None,
            "suppressed": _tokens(source, effects[:, place], False) if effects is not None else None,
            "neighbours": _neighbours(cosines[place], feature),
        }
        for place, (feature, importance) in enumerate(chosen.items())
    ]


def _histogram(code: Tensor) -> list[int]:
    fired = code[code > 0]
    if not len(fired):
        return [0] * HISTOGRAM
    place = (fired / fired.max() * HISTOGRAM).long().clamp(max=HISTOGRAM - 1)
    return [int(count) for count in torch.bincount(place, minlength=HISTOGRAM)]


def _contexts(source: Source, code: Tensor, text: HeldOut) -> list[dict[str, Any]]:
    """The windows with the largest codes, one place in each: tokens around it and their codes."""
    width = text.ids.shape[1] - 1
    by_window = code.view(-1, width)
    best = by_window.max(dim=1)
    found = []
    for window in best.values.argsort(descending=True)[:CONTEXTS].tolist():
        if best.values[window] <= 0:
            break
        at = int(best.indices[window])
        first, last = max(at - AROUND, 0), min(at + AROUND // 2 + 1, width)
        found.append(
            {
                "at": at - first,
                "tokens": [_text(source, int(id)) for id in text.ids[window, first:last]],
                "codes": [float(f"{value:.3g}") for value in by_window[window, first:last].tolist()],
            }
        )
    return found


def _tokens(source: Source, effect: Tensor, largest: bool) -> list[list[Any]]:
    best = effect.topk(min(TOKENS, len(effect)), largest=largest)
    return [
        [_text(source, id), float(f"{value:.3g}")]
        for id, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _neighbours(cosines: Tensor, feature: int) -> list[list[Any]]:
    others = cosines.clone()
    others[feature] = -2.0
    best = others.topk(min(NEIGHBOURS, len(others) - 1))
    return [[int(id), float(f"{value:.3g}")] for id, value in zip(best.indices, best.values, strict=True)]


def _text(source: Source, id: int) -> str:
    return source.decode(id) if source.decode is not None else f"<{id}>"
