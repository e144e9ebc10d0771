"""Training: warm-up with restore, then steps until the clock or the step count says stop."""

import time
from functools import partial

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from golf.parts.artifact import RawCoder, write_container
from golf.parts.data import Stream
from golf.parts.env import sent
from golf.parts.knobs import Chain, Slot
from golf.parts.optim import build_optimizers
from golf.parts.schedule import Clock
from golf.parts.tags import collect, has_group


class Knobs:
    warmup_steps: "0 <= int <= 10000" = (
        20  # real steps before the clock starts, undone after: they compile and allocate
    )
    val_loss_every: "0 <= int <= 1000000000" = 1000  # steps | 0 only at the end
    train_log_every: "1 <= int <= 1000000000" = 200  # steps
    after_step: Chain = ()  # members (h, model) are called with the clock after every step: averages
    export_weights: Slot = "raw_weights"  # (model, averages): puts the weights to export into the model
    parallel: Slot = "ddp"  # (env, model) -> model that averages the gradients over the ranks in its backward
    at_loop: Slot = (
        ""  # (h, model) is called once, before the first step of the looped order, where that is a step's number
    )
    product_in_validation: bool = (
        False  # while training, validations multiply as training does | off: as evaluation does
    )
    average_gradients: Slot = ""  # (env, model) does so after clipping, where `parallel` leaves it
    documents: Slot = (
        ""  # (h, ids, clock) -> Documents of the host's ids: bounds between which attention stays in training
    )
    validation: Slot = "plain"  # the evaluator of the float model, during training and at its end
    checkpoint: Slot = (
        ""  # class (h, env, log, model, optimizers, loader, clock): keeps the training's state to go on from
    )
    calibrate: Slot = ""  # (h, env, log, model, loader) leaves `hessians.golf` for quantizers that need it


class Smoke:
    warmup_steps = 2
    val_loss_every = 0
    train_log_every = 20


def compiled(env, model):
    """One graph a shape for a GPU; on a CPU compiling costs more than it gives."""
    if not env.cuda:
        return model
    # training, scoring and learning while scoring ask for more graphs of one forward than the usual 8
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(model, dynamic=False, fullgraph=True)


def ddp(env, model):
    """Averages the gradients over the ranks while the last micro-batch runs backward."""
    if not env.distributed:
        return model
    return DistributedDataParallel(model, device_ids=[env.local_rank] if env.cuda else None)


def take_step(h, env, model, loader, optimizers, clock, loop=True):
    """One optimizer step over 8 micro-batches, all ranks together. Returns this rank's mean loss, nats per token."""
    loss_sum = torch.zeros((), device=env.device)
    for micro in range(env.grad_accum_steps):
        ids, targets = loader.next_batch()
        if h.documents:
            docs = h.documents(h, ids, clock).there(env)
        ids, targets = sent(env, ids), sent(env, targets)
        if not h.average_gradients and env.distributed:
            model.require_backward_grad_sync = micro == env.grad_accum_steps - 1
        with env.autocast():
            if h.documents:
                loss = model(ids, targets, docs=docs, loop=loop).mean()
            else:
                loss = model(ids, targets, loop=loop).mean()
        loss_sum += loss.detach()
        (loss / env.grad_accum_steps).backward()
    if h.grad_clip_norm:
        torch.nn.utils.clip_grad_norm_(model.parameters(), h.grad_clip_norm)
    if h.average_gradients:
        h.average_gradients(env, model)
    clock.lr_factor, momentum = h.lr_at(h, clock), h.momentum_at(h, clock)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * clock.lr_factor
            if h.group_lr:
                group["lr"] = h.group_lr(h, group, clock)
            if "momentum" in group:
                group["momentum"] = momentum
                if h.muon_wd_at:
                    group["wd_factor"] = h.muon_wd_at(h, clock)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss_sum / env.grad_accum_steps


def warm_up(h, env, log, model, trained, optimizers):
    """Compile and allocate with real steps, then put weights and optimizers back as they were."""
    start = {name: param.detach().clone() for name, param, _ in collect(model)}
    loader, clock = h.loader(h, env), Clock(env, 0.0)
    for i in range(h.warmup_steps):
        take_step(h, env, trained, loader, optimizers, clock)
        log(f"warmup_step:{i + 1}/{h.warmup_steps}")
    if h.loop_from or h.loop_from_step:
        for loop in (False, 1) if h.loop_whole_from else (False,):
            for i in range(h.warmup_steps):
                take_step(h, env, trained, loader, optimizers, clock, loop=loop)
                log(f"loop_warmup_step:{i + 1}/{h.warmup_steps}")
    with torch.no_grad():
        for name, param, _ in collect(model):
            param.copy_(start[name])
    for optimizer in optimizers:
        optimizer.state.clear()


def time_is_up(env, clock):
    """Whether any rank's clock has reached the cap. The device is waited for only where ranks must agree, once."""
    reached = 0 < clock.cap_seconds <= clock.elapsed_seconds
    if clock.cap_seconds > 0 and env.distributed:
        flag = torch.full((), float(reached), device=env.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        reached = bool(flag)
    return reached


def raw_weights(model, averages):
    """Export the weights of the last step."""


def validate(h, env, log, raw, model, stream, clock):
    """Score the whole validation split with the clock stopped."""
    clock.pause()
    if h.product:
        raw.train(h.product_in_validation)
    trace = h.validation(h, env, model, stream)
    if h.product:
        raw.train()
    milliseconds = 1000 * clock.elapsed_seconds
    log(
        f"step:{clock.step}/{env.iterations} val_loss:{trace.loss:.4f} val_bpb:{trace.bpb:.4f} "
        f"train_time:{milliseconds:.0f}ms step_avg:{milliseconds / max(clock.step, 1):.2f}ms"
    )
    log.record(pre_quant_val_loss=trace.loss, pre_quant_val_bpb=trace.bpb)
    clock.start()
    if h.checkpoint:
        return trace.loss


def score_average(h, env, log, model, stream):
    """Score the weights that are exported, where they are not those of the last step."""
    begun = time.perf_counter()
    trace = h.validation(h, env, model, stream)
    log(
        f"pre-quantization post-ema val_loss:{trace.loss:.8f} val_bpb:{trace.bpb:.8f} "
        f"eval_time:{1000 * (time.perf_counter() - begun):.0f}ms"
    )
    log.record(pre_quant_val_loss=trace.loss, pre_quant_val_bpb=trace.bpb)


def train(h, env, log, model):
    """Train the raw model in place and leave `float.golf`, the checkpoint that export reads."""
    assert h.reserve_seconds < h.max_wallclock_seconds or h.max_wallclock_seconds == 0, (
        f"reserve_seconds = {h.reserve_seconds} leave nothing of max_wallclock_seconds = {h.max_wallclock_seconds} to train in"
    )
    assert h.after_step or "raw_weights" in str(h.export_weights), (
        'export_weights exports an average that nothing takes: add what takes it to after_step, as in ["ema.EMA"]'
    )
    stream = Stream(h, env)
    if h.product or has_group(collect(model), "measured"):
        model.train()
    scored = compiled(env, model)
    trained = h.parallel(env, scored)
    optimizers = build_optimizers(h, collect(model), env)
    warm = Clock(env, 0.0)
    warm.start()
    if h.warmup_steps:
        warm_up(h, env, log, model, trained, optimizers)
    warm.pause()
    if h.after_step:
        averages = {T.__name__: T(h, model) for T in h.after_step}
    loader = h.loader(h, env)
    clock = Clock(env, env.max_wallclock_seconds - h.reserve_seconds if env.max_wallclock_seconds > 0 else 0.0)
    if h.checkpoint:
        checkpoint = h.checkpoint(h, env, log, model, optimizers, loader, clock)
    clock.start()
    stop_reason, loss = None, None
    assert not (h.loop_from and h.loop_from_step), (
        "loops begin at a share of the budget or at a step: set loop_from or loop_from_step to 0"
    )
    if h.loop_from or h.loop_from_step:
        loop = False
    while True:
        if time_is_up(env, clock):
            stop_reason = "wallclock_cap"
        elif clock.step == env.iterations:
            stop_reason = "iterations"
        if stop_reason or (h.val_loss_every and clock.step % h.val_loss_every == 0):
            if h.loop_from or h.loop_from_step:
                validate(h, env, log, model, partial(scored, loop=loop), stream, clock)  # as the last step ran
            elif h.checkpoint:
                checkpoint.validated(validate(h, env, log, model, scored, stream, clock))
            else:
                validate(h, env, log, model, scored, stream, clock)
        if stop_reason:
            break
        if h.loop_from_step:
            if h.at_loop and clock.step == h.loop_from_step:
                h.at_loop(h, model)
            loop = clock.step >= h.loop_from_step
            loss = take_step(h, env, trained, loader, optimizers, clock, loop=loop)
        elif h.loop_from:
            loop = clock.progress() >= h.loop_from
            if h.loop_whole_from and loop and clock.progress() < h.loop_whole_from:
                loop = 1  # extra pass
            loss = take_step(h, env, trained, loader, optimizers, clock, loop=loop)
        else:
            loss = take_step(h, env, trained, loader, optimizers, clock)
        clock.step += 1
        clock.tick()
        if h.checkpoint:
            checkpoint.update()
        if h.after_step:
            for average in averages.values():
                average.update(clock)
        if clock.step <= 10 or clock.step % h.train_log_every == 0:
            milliseconds = 1000 * clock.elapsed_seconds
            log(
                f"step:{clock.step}/{env.iterations} train_loss:{loss.item():.4f} "
                f"train_time:{milliseconds:.0f}ms step_avg:{milliseconds / clock.step:.2f}ms"
            )
    clock.pause()
    if h.product or has_group(collect(model), "measured"):
        model.eval()
    if h.after_step:
        h.export_weights(model, averages)
        score_average(h, env, log, scored, stream)
    if h.calibrate:
        h.calibrate(h, env, log, model, loader)
    finish(h, env, log, model, clock, stop_reason, loss, warm.elapsed_seconds)
    if h.checkpoint:
        checkpoint.remove()


def finish(h, env, log, model, clock, stop_reason, loss, compile_seconds):
    """Say how training ended and write the checkpoint."""
    milliseconds = 1000 * clock.elapsed_seconds
    if stop_reason == "wallclock_cap":
        log(f"stopping_early: wallclock_cap train_time:{milliseconds:.0f}ms step:{clock.step}/{env.iterations}")
    memory_mib = None
    if env.cuda:
        memory_mib = torch.cuda.max_memory_allocated() >> 20
        log(f"peak memory allocated: {memory_mib} MiB reserved: {torch.cuda.max_memory_reserved() >> 20} MiB")
    measured = {
        "steps": clock.step,
        "stop_reason": stop_reason,
        "train_loss": None if loss is None else loss.item(),
        "compile_seconds": compile_seconds,
        "train_seconds": clock.elapsed_seconds,
        "step_ms": milliseconds / max(clock.step, 1),
        "peak_memory_mib": memory_mib,
    }
    log.record(**measured)
    if env.rank == 0:
        weights = {name: param for name, param, _ in collect(model)}
        size_bytes = write_container("float.golf", weights, {"seed": env.seed, **measured}, RawCoder)
        log(f"Serialized model: {size_bytes} bytes")
