"""Dead zone: codes up to `dead_zone` become 0, the others keep their value (RDQuant). Zeros are cheap behind an entropy coder."""

import torch

from golf.parts.quant import readable_scale


class Knobs:
    dead_zone: "0 <= float <= 100" = 1.0  # in steps: codes below dead_zone + ½ become 0


def dead_zone_rows(h, w, hessian, bits, role):
    limit = 2 ** (bits - 1) - 1
    scale = readable_scale(h, w.abs().amax(dim=1) / limit)
    codes = torch.round(w / scale[:, None])
    codes = codes.masked_fill(codes.abs() < h.dead_zone + 0.5, 0)
    return codes.clamp(-limit, limit).to(torch.int8), scale
