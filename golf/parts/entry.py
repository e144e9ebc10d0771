"""`python train_gpt.py [train] [export] [eval]`: all three by default, in one process group, as the contest runs it.

train leaves `float.golf`, export turns it into the artifact `model.golf`, eval scores what the artifact holds and nothing else.
"""

import importlib
import os
import random
import sys
import time
from types import SimpleNamespace

import numpy as np
import torch
import torch.distributed as dist

from golf.parts.artifact import RawCoder, read_container
from golf.parts.attention import attention_kind
from golf.parts.data import Stream, shard_paths
from golf.parts.env import Env
from golf.parts.log import RESULT_SCHEMA, Log
from golf.parts.model import GPT
from golf.parts.quant import load_artifact, load_weights, quantize, save_artifact
from golf.parts.tags import cast_masters, collect, initialize
from golf.parts.train import compiled, train


class Knobs:
    name: str = "unnamed"  # of the recipe


def main(h):
    begun = time.perf_counter()
    phases = sys.argv[1:] or ["train", "export", "eval"]
    assert set(phases) <= {"train", "export", "eval"}, f"phases are train, export, eval, not {' '.join(phases)}"
    env = Env(h)
    set_up(env)
    log = Log(env)
    log(f"golf_start {h.name} phases:{','.join(phases)} torch:{torch.__version__}")
    model = build(h, env)
    describe(h, env, log, model, phases)
    env.synchronize()
    log.record(setup_seconds=time.perf_counter() - begun)
    if "train" in phases:
        log("golf_phase train")
        train(h, env, log, model)
    if "export" in phases:
        log("golf_phase export")
        export(h, env, log, model)
    if "eval" in phases:
        log("golf_phase eval")
        evaluate(h, env, log, model)
    log.finish()
    if env.distributed:
        dist.barrier()  # nobody leaves while another still talks
        dist.destroy_process_group()  # the last owner: no thread of the group meets a dying interpreter


def set_up(env):
    random.seed(env.seed)
    np.random.seed(env.seed)
    torch.manual_seed(env.seed)
    if env.cuda:
        torch.cuda.set_device(env.device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if env.distributed:
        # DDP imports it later, and functions there would then hold the group as a default argument past its end
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if env.cuda else "gloo")


def build(h, env):
    """The raw model, initialised from the seed, on the device, tables in the dtype of the activations."""
    model = GPT(h)
    initialize(h, model, env.seed)
    model.to(env.device)
    cast_masters(model, env.dtype)
    return model


def describe(h, env, log, model, phases):
    """The header of the log, in the challenge's words, and what the result line says of the set-up."""
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)  # statistics learn nothing
    device = torch.cuda.get_device_name() if env.cuda else "cpu"
    log(f"model_params:{params}")
    log(f"world_size:{env.world_size} grad_accum_steps:{env.grad_accum_steps}")
    log(
        f"attention_mode:gqa num_heads:{h.num_heads} num_kv_heads:{h.num_kv_heads} attention:{attention_kind(env)} device:{device}"
    )
    if "train" in phases:
        shards = shard_paths(env, "train")
        log(f"train_loader:dataset:{os.path.basename(os.path.normpath(env.data_path))} train_shards:{len(shards)}")
    log(
        f"train_batch_tokens:{h.train_batch_tokens} train_seq_len:{h.train_seq_len} iterations:{env.iterations} "
        f"warmup_steps:{h.warmup_steps} max_wallclock_seconds:{env.max_wallclock_seconds:.3f}"
    )
    log(f"seed:{env.seed}")
    log.record(
        schema=RESULT_SCHEMA,
        name=h.name,
        seed=env.seed,
        phases=phases,
        device=device,
        world_size=env.world_size,
        torch=torch.__version__,
        attention=attention_kind(env),
        dtype=str(env.dtype).removeprefix("torch."),
        params=params,
        vocab_size=h.vocab_size,
        train_seq_len=h.train_seq_len,
        train_batch_tokens=h.train_batch_tokens,
        max_wallclock_seconds=env.max_wallclock_seconds,
        iterations=env.iterations,
        code_bytes=os.path.getsize(__file__),
    )


def export(h, env, log, model):
    """Quantise the checkpoint into the artifact, every rank its share of the matrices; rank 0 writes and weighs it."""
    begun = time.perf_counter()
    if env.distributed:
        dist.barrier()  # rank 0 has written the checkpoint
    weights, measured = read_container("float.golf", RawCoder)
    load_weights(model, weights)
    log.record(**{name: value for name, value in measured.items() if name != "seed"})
    hessians = read_container("hessians.golf", RawCoder)[0] if h.calibrate else {}
    tensors = quantize(h, collect(model), weights, hessians, env.rank, env.world_size)
    if h.refit:
        tensors = h.refit(h, env, log, collect(model), weights, hessians, tensors)
    if env.rank == 0:
        code_bytes = os.path.getsize(__file__)
        label = f"int{h.mlp_bits}+{h.coder.name}"
        model_bytes, payload_bytes = save_artifact(h, "model.golf", tensors)
        log(f"Code size: {code_bytes} bytes")
        log(f"Serialized model {label}: {model_bytes} bytes (payload:{payload_bytes})")
        log(f"Total submission size {label}: {model_bytes + code_bytes} bytes")
        log.record(
            model_bytes=model_bytes,
            total_bytes=model_bytes + code_bytes,
            serialization_seconds=time.perf_counter() - begun,
        )
    if env.distributed:
        dist.barrier()


def rehearsal(h, env, stream):
    """Random tokens that ask for the graphs of the stream on every rank: documents longer than a window, whole batches, the same rest."""
    period = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1) * h.eval_seq_len * env.world_size
    document, total = h.eval_seq_len + h.eval_seq_len // 4 + 1, len(stream.target_bytes)
    targets = min(total % period + -(-128 * document * env.world_size // period) * period, total)
    tokens = torch.randint(h.bos_id + 1, h.vocab_size, (targets + 1,), generator=torch.Generator().manual_seed(0))
    tokens[::document] = h.bos_id
    return SimpleNamespace(tokens=tokens, target_bytes=torch.ones_like(stream.target_bytes[:targets]))


def evaluate(h, env, log, model):
    """Every report of the recipe, each on the weights that the artifact holds."""
    stream = Stream(h, env)
    log(
        f"val_loader:shards pattern={os.path.join(env.data_path, 'fineweb_val_*.bin')} tokens:{len(stream.target_bytes)}"
    )
    if h.product:
        model.eval()
    scored = compiled(env, model)
    # what the reports need is compiled before their clock starts; no validation token is read for it
    if scored is not model:
        since, drawn = time.perf_counter(), rehearsal(h, env, stream)
        for report in h.reports:
            load_artifact(h, "model.golf", model)
            report(h, env, scored, drawn)
        log(f"eval:compile warmup done ({time.perf_counter() - since:.1f}s)")
    begun, reports = time.perf_counter(), []
    for report in h.reports:
        env.synchronize()
        since = time.perf_counter()
        load_artifact(h, "model.golf", model)
        trace = report(h, env, scored, stream)
        env.synchronize()
        seconds = time.perf_counter() - since
        log(f"{trace.label} val_loss:{trace.loss:.4f} val_bpb:{trace.bpb:.4f} eval_time:{1000 * seconds:.0f}ms")
        log(f"{trace.label}_exact val_loss:{trace.loss:.8f} val_bpb:{trace.bpb:.8f}")
        reports.append(
            {
                "name": trace.name,
                "val_loss": trace.loss,
                "val_bpb": trace.bpb,
                "tokens": trace.tokens,
                "bytes": trace.bytes,
                "seconds": seconds,
            }
        )
    log.record(
        reports=reports,
        eval_seconds=time.perf_counter() - begun,
        val_tokens=trace.tokens,
        val_bytes=trace.bytes,
        val_loss=trace.loss,
        val_bpb=trace.bpb,
    )
