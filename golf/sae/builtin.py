"""A dictionary that is part of the model (CayleySAE) seen as one more dictionary, so that the same measures apply.

Its input is what the block hands to it, its code the kept features with their signs taken apart: of m parity features, 2·m virtual
ones, relu(u) and relu(−u), since a feature and its opposite mean two things. The model was trained around the reconstruction: what is
left out is not an error of the model, and no loss is recovered or lost by it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from golf.errors import Exit, GolfError
from golf.models.documents import Keys
from golf.models.places import Site
from golf.models.source import Ids, Source, Swap, Trace
from golf.sae.measure import Snapshot
from golf.sae.metrics import split_signs

CLASS = "CayleySAE"


class BuiltInCoder:
    """`encode` and `decode` of a CayleySAE module."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def encode(self, x: Tensor) -> Tensor:
        """(N, d) -> (N, 2·m): positive parts, then negative ones."""
        codes, _, index = self.module.encode(x)
        whole = codes.new_zeros(len(x), self.module.features).scatter_(1, index.long(), codes)
        return split_signs(whole)

    def decode(self, z: Tensor) -> Tensor:
        """(N, 2·m) -> (N, d), with the bias of the output."""
        code = z[:, : self.module.features] - z[:, self.module.features :]
        index = torch.arange(self.module.features, device=z.device).expand(len(z), -1)
        y: Tensor = self.module.decode(code, index)
        return y + self.module.out_bias if hasattr(self.module, "out_bias") else y


class BuiltInSource:
    """A source whose streams are what its built-in dictionaries read, one a layer that has one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.modules = [module for module in source.model.modules() if type(module).__name__ == CLASS]
        if not self.modules:
            raise GolfError(
                f"{source.name} has no {CLASS}", "measure dictionaries that were trained on it", Exit.REFUSED
            )
        self.name, self.spec, self.seq_len = source.name, source.spec, source.seq_len
        self.model_dim, self.num_layers = source.model_dim, len(self.modules)
        self.facts, self.device, self.encode, self.prefix = source.facts, source.device, source.encode, source.prefix

    def tokens(
        self, split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None
    ) -> Ids:
        """The source's own text."""
        left_out = {} if without is None else {"without": without}
        return self.source.tokens(split, data, limit, **left_out)

    def streams(self, ids: Tensor, sites: Iterable[Site]) -> dict[Site, Tensor]:
        """{site: fp32 (B, T, d)}, what the built-in dictionaries of its layers read, from one forward over ids (B, T)."""
        found: dict[Site, Tensor] = {}
        handles = []
        for site in sites:

            def hook(module: Any, args: Any, site: Site = site) -> None:
                found[site] = args[0].detach().float()

            handles.append(self.modules[site.layer].register_forward_pre_hook(hook))
        try:
            self.source.logits(ids)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def traced(self, ids: Tensor, sites: Iterable[Site]) -> Trace:
        """The model's own forward; its dictionaries' streams come from `streams`."""
        assert not list(sites)
        return self.source.traced(ids, ())

    def logits(self, ids: Tensor, swap: Mapping[Any, Swap] | None = None, after: Trace | None = None) -> Tensor:
        """The model's own: nothing can be swapped that it was not trained with."""
        assert not swap
        return self.source.logits(ids)

    def snapshot(self, layer: int) -> Snapshot:
        """The dictionary of a layer as the one snapshot that there is."""
        module = self.modules[layer]
        levels = ";".join(",".join(map(str, level)) for level in getattr(module, "levels", ()))
        return Snapshot("model", None, BuiltInCoder(module), {"arch": "cayley", "levels": levels})
