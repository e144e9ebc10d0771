"""Linear warm-up, a plateau, then linearly down to a floor that Muon and Adam each have for themselves (markhenry's
`linear_warmdown`).

peak · t / warm-up, then peak, then over the last share of T steps: floor + (peak − floor) · (T − t) / (share · T).
"""


class Knobs:
    lr_warmup_iters: "0 <= int <= 1000000000" = 200  # steps from 0 to the peak
    lr_warmdown_share: "0 < float <= 1" = 0.5  # of the training budget
    matrix_min_lr: "0 <= float <= 10" = 1e-4  # Muon's last learning rate
    adam_min_lr: "0 <= float <= 10" = 1e-5


class Smoke:
    lr_warmup_iters = 20


def linear_warmdown(h, clock):
    """How far up: 0 to 1 in the warm-up, 1 to 0 in the warm-down. A slot for `lr_at`."""
    if clock.step < h.lr_warmup_iters:
        return clock.step / h.lr_warmup_iters
    return min((1 - clock.progress()) / h.lr_warmdown_share, 1.0)


def warmdown_to_floors(h, group, clock):
    """A slot for `group_lr`."""
    assert h.matrix_min_lr <= h.matrix_lr, (
        f"matrix_min_lr = {h.matrix_min_lr} lies above the peak, matrix_lr = {h.matrix_lr}"
    )
    floor = h.matrix_min_lr if "momentum" in group else h.adam_min_lr
    if clock.step < h.lr_warmup_iters:
        return group["base_lr"] * clock.lr_factor
    return floor + (group["base_lr"] - floor) * clock.lr_factor
