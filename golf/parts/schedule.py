"""Time and what follows from it. `Clock` is the only source of time in training: seconds under the cap, or steps without one."""

import time

from golf.parts.knobs import Slot


class Knobs:
    lr_at: Slot = "warmdown_by_iterations"  # (h, clock) -> factor on every base learning rate
    group_lr: Slot = (
        ""  # (h, group, clock) -> learning rate of an optimizer group, where base rate times factor is not it
    )
    warmdown_iters: "0 <= int <= 1000000000" = 1200  # the last steps' learning rate falls linearly to 0
    momentum_at: Slot = "momentum_warmup"  # (h, clock) -> Muon's momentum
    momentum: "0 <= float < 1" = 0.95
    momentum_warmup_start: "0 <= float < 1" = 0.85
    momentum_warmup_steps: "0 <= int <= 1000000000" = 500
    loop_from: "0 <= float < 1" = (
        0.0  # share of the training budget from which the looped order runs | 0 from the start
    )
    loop_from_step: "0 <= int <= 1000000000" = 0  # the step from which the looped order runs, whatever the clock says
    loop_whole_from: "0 <= float < 1" = (
        0.0  # share from which all its passes run, one extra pass before | 0: all from loop_from
    )
    reserve_seconds: "0 <= float <= 1e5" = 0.0  # kept off the training clock for calibration


class Smoke:
    warmdown_iters = 60
    momentum_warmup_steps = 25
    loop_from_step = 60


class Clock:
    """Seconds of training so far (paused during validation) and steps; `cap_seconds` 0 means that steps count."""

    def __init__(self, env, cap_seconds, now=time.perf_counter):
        self.env = env
        self.cap_seconds = cap_seconds
        self.now = now
        self.step = 0
        self.elapsed_seconds = 0.0
        self.running_since = None
        self.lr_factor = 1.0  # of the step last taken
        self.context = None  # where documents are cut at a growing length: the length and the step it came with

    def start(self):
        self.env.synchronize()
        self.running_since = self.now()

    def pause(self):
        self.env.synchronize()
        self.tick()
        self.running_since = None

    def tick(self):
        """Read the clock. The device is not waited for: a step's end is seen when the next one needs its result."""
        now = self.now()
        self.elapsed_seconds += now - self.running_since
        self.running_since = now

    def progress(self):
        """How much of the training budget is used, from 0 to 1."""
        if self.cap_seconds > 0:
            return min(self.elapsed_seconds / self.cap_seconds, 1.0)
        return min(self.step / self.env.iterations, 1.0)


def warmdown_by_iterations(h, clock):
    """1, then linearly to 0 over `warmdown_iters` steps; under a cap the steps are turned into seconds by their mean so far."""
    if h.warmdown_iters == 0:
        return 1.0
    if clock.cap_seconds > 0:
        warmdown_seconds = h.warmdown_iters * clock.elapsed_seconds / max(clock.step, 1)
        left_seconds = max(clock.cap_seconds - clock.elapsed_seconds, 0.0)
        return left_seconds / warmdown_seconds if left_seconds <= warmdown_seconds else 1.0
    return min((clock.env.iterations - clock.step) / h.warmdown_iters, 1.0)


def momentum_warmup(h, clock):
    share = min(clock.step / h.momentum_warmup_steps, 1.0) if h.momentum_warmup_steps else 1.0
    return (1 - share) * h.momentum_warmup_start + share * h.momentum
