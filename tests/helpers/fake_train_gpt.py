"""A script that keeps golf's contract without torch: the log lines, the phases, the files, the result line, in a second.

FAKE names its faults, comma-separated: crash:PHASE, hang:PHASE, wrong_seed, ignore_seed, slow_clock, over_bytes, no_result,
torn_artifact, score_drift, kill:PHASE, and after the result abort, linger. FAKE_STEP_SECONDS is the time of a step,
FAKE_SEED the only seed that has the faults. Under torchrun rank 0 works and any other rank only waits for its result, then has
the faults that come after it.
"""

# ruff: noqa: PLW1508, PTH105, PTH109, PTH123, PTH202, PTH208
import hashlib
import json
import os
import signal
import struct
import sys
import time
import zlib


class h:
    name = "fake"
    vocab_size = 1024
    iterations = 20
    max_wallclock_seconds = 0.0
    bits = 8


SEED = int(os.environ.get("SEED", 1337))
FAULTS = set(os.environ.get("FAKE", "").split(",")) - {""}
if os.environ.get("FAKE_SEED", str(SEED)) != str(SEED):
    FAULTS = set()
RANK = int(os.environ.get("RANK", 0))
ITERATIONS = int(os.environ.get("ITERATIONS", h.iterations))
CAP = float(os.environ.get("MAX_WALLCLOCK_SECONDS", h.max_wallclock_seconds))
STEP = float(os.environ.get("FAKE_STEP_SECONDS", "0.002"))
PHASES = sys.argv[1:] or ["train", "export", "eval"]
HEADER = struct.Struct("<4sB8sIIQQ")
result = {"schema": 1, "name": h.name, "seed": SEED, "phases": PHASES, "device": "cpu", "world_size": 1, "torch": "none",
          "params": 1000, "vocab_size": 1024, "iterations": ITERATIONS, "max_wallclock_seconds": CAP,
          "setup_seconds": 0.01, "code_bytes": os.path.getsize(__file__)}  # fmt: skip
for name in ("steps", "train_seconds", "step_ms", "train_loss", "eval_seconds", "val_loss", "val_bpb", "model_bytes",
             "total_bytes", "calibration_seconds", "compile_seconds", "pre_quant_val_bpb"):  # fmt: skip
    result[name] = None


def log(line):
    print(line, flush=True)


def write(path, payload, meta):
    text = json.dumps({"meta": meta, "tensors": []}).encode()
    manifest = zlib.compress(text)
    body = HEADER.pack(b"GOLF", 1, b"raw", len(manifest), len(text), len(payload), len(payload)) + manifest + payload
    body += struct.pack("<I", zlib.crc32(body))
    with open(f"{path}.tmp", "wb") as file:
        file.write(body)
    os.replace(f"{path}.tmp", path)
    return len(body)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    if struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
        raise ValueError(f"{path} is damaged or no golf container: its checksum does not hold")
    manifest, payload = HEADER.unpack_from(data)[3], HEADER.unpack_from(data)[5]
    return data[HEADER.size + manifest : HEADER.size + manifest + payload]


def fault(phase):
    if f"crash:{phase}" in FAULTS:
        raise RuntimeError(f"told to crash in {phase}")
    if f"kill:{phase}" in FAULTS:
        os.kill(os.getpid(), signal.SIGKILL)
    if f"hang:{phase}" in FAULTS:
        time.sleep(3600)


def train():
    fault("train")
    used = 1337 if "ignore_seed" in FAULTS else SEED
    begun, loss = time.perf_counter(), 7.0
    for step in range(1, ITERATIONS + 1):
        time.sleep(STEP)
        loss = 1 + 6 * 0.9**step + (used % 97) * 1e-4
        ms = 1000 * (time.perf_counter() - begun) * (1e6 if "slow_clock" in FAULTS else 1)
        log(f"step:{step}/{ITERATIONS} train_loss:{loss:.4f} train_time:{ms:.0f}ms step_avg:{ms / step:.2f}ms")
    log(
        f"step:{ITERATIONS}/{ITERATIONS} val_loss:{loss:.4f} val_bpb:{loss / 2:.4f} train_time:{ms:.0f}ms step_avg:1.00ms"
    )
    result.update(steps=ITERATIONS, train_seconds=ms / 1000, step_ms=ms / ITERATIONS, train_loss=loss)
    result["pre_quant_val_bpb"] = loss / 2
    write("float.golf", json.dumps({"loss": loss}).encode() * 50, {"seed": SEED})


def export():
    fault("export")
    payload = read("float.golf")
    model = write("model.golf", payload + bytes(17_000_000 if "over_bytes" in FAULTS else 0), {})
    if "torn_artifact" in FAULTS:
        with open("model.golf", "r+b") as file:
            file.truncate(model // 2)
    total = model + result["code_bytes"]
    log(f"Total submission size int8+zlib: {total} bytes")
    result.update(model_bytes=model, total_bytes=total)


def evaluate():
    fault("eval")
    begun = time.perf_counter()
    payload = read("model.golf") if "torn_artifact" not in FAULTS else b"{}"
    loss = json.loads(payload.split(b"}")[0] + b"}").get("loss", 1.0)
    loss += (8 - h.bits) * 0.01
    loss += int(hashlib.sha256(os.getcwd().encode()).hexdigest()[:6], 16) * 1e-6 if "score_drift" in FAULTS else 0
    seconds = time.perf_counter() - begun
    log(f"final_int8_zlib_roundtrip val_loss:{loss:.4f} val_bpb:{loss / 2:.4f} eval_time:{1000 * seconds:.0f}ms")
    log(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{loss / 2:.8f}")
    result.update(eval_seconds=seconds, val_loss=loss, val_bpb=loss / 2)


def after():
    if "abort" in FAULTS:
        os.abort()
    if "linger" in FAULTS:
        time.sleep(3600)


if __name__ == "__main__":
    if RANK:
        while "said" not in os.listdir():
            time.sleep(0.01)
        after()
        sys.exit()
    log("model_params:1000")
    log("world_size:1 grad_accum_steps:8")
    log(
        f"train_batch_tokens:1024 train_seq_len:128 iterations:{ITERATIONS} warmup_steps:0 max_wallclock_seconds:{CAP:.3f}"
    )
    log(f"seed:{1337 if 'wrong_seed' in FAULTS else SEED}")
    for phase, work in (("train", train), ("export", export), ("eval", evaluate)):
        if phase in PHASES:
            log(f"golf_phase {phase}")
            work()
    if "no_result" not in FAULTS:
        log(f"golf_result {json.dumps(result)}")
    if "WORLD_SIZE" in os.environ:
        with open("said", "w"):
            time.sleep(1.0)
    else:
        after()
