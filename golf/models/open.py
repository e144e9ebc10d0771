"""Open a model by its specification: a submission of golf, a Hugging Face folder, glassllm."""

import torch

from golf.errors import GolfError
from golf.models.source import Source


def open_source(spec: str, device: str | None = None, *, trust: bool = False) -> Source:
    """The model that `spec` names (see the module's docstring; a path without a prefix is golf's).

    device: default a GPU where there is one; trust: a Hugging Face folder's own code may run. GolfError: no such model, a damaged file, a package that is not installed; nothing
    is ever fetched.
    """
    kind, _, rest = spec.partition(":")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.partition(":")[0] not in ("cpu", "cuda") or (device != "cpu" and not torch.cuda.is_available()):
        raise GolfError(f"there is no device `{device}` here", "`--device cpu`")
    if kind == "hf":
        from golf.models.hugging_face import open_hf

        return open_hf(rest, device, trust=trust)
    if kind == "glassllm":
        from golf.models.glass import open_glass

        return open_glass(rest or "en", device)
    from golf.models.golf_script import open_golf

    return open_golf(rest if kind == "golf" else spec, device)
