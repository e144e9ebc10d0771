"""fp8 (e4m3): weights rounded to eight bits of floating point, straight through in the forward, and stored as such (PR #640, Ciprian-Florin
Ifrim).
"""

import torch

from golf.parts.techniques.qat import straight_through


def fake_fp8(w):
    """w as fp8 holds it, in its own dtype, with the gradient of w."""
    return straight_through(w, w.detach().to(torch.float8_e4m3fn).to(w.dtype))


class Fp8Storage:
    """A slot for `storage`: matrices in fp8, as its bytes, everything else in fp16."""

    @staticmethod
    def put(w):
        return w.to(torch.float8_e4m3fn).view(torch.uint8) if w.ndim == 2 else w.half()

    @staticmethod
    def get(tensor):
        return tensor.view(torch.float8_e4m3fn).float() if tensor.dtype == torch.uint8 else tensor.float()
