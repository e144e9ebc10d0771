"""Bytes, clocks, hardware and data of a record folder: what the logs measured against what is claimed and allowed."""

from collections.abc import Iterator

from golf.challenge import CAP_BYTES
from golf.reading.folder import Folder, SeedLog
from golf.record.findings import Check, Finding

CLOCK_SECONDS = 600.0
CLOCK_TOLERANCE_SECONDS = 1.0  # the step in flight when the clock ends; the slowest accepted run is at 600.137
CASEOPS_SHARDS = 80


def totals(folder: Folder) -> Iterator[Finding]:
    """Nothing over the cap; the claimed total is one that a log prints."""
    logged = [log.run.total_bytes for log in folder.logs]
    allowed = {*logged, *(total for log in folder.logs for total in shipped_totals(folder, log))}
    for log in folder.logs:
        if log.run.total_bytes is not None and log.run.total_bytes > CAP_BYTES:
            yield Finding(
                "over-cap",
                "high",
                f"{log.name}: log total {log.run.total_bytes:,} > {CAP_BYTES:,} ({log.run.model_format or 'format unknown'})",
            )
    for name in ("bytes_total", "artifact_bytes_max", "artifact_bytes", "artifact_size_bytes"):
        claim = folder.number(name)
        if claim is None:
            continue
        if claim > CAP_BYTES:
            yield Finding("over-cap", "high", f"{name} {int(claim):,} > {CAP_BYTES:,}")
        if (
            name in ("bytes_total", "artifact_bytes", "artifact_size_bytes")
            and folder.logs
            and int(claim) not in allowed
        ):
            yield Finding("bytes_total", "medium", f"claimed {int(claim):,}; logs {logged}")
        if claim % 10_000 == 0 and int(claim) not in allowed:
            yield Finding("rounded", "low", f"{name} {int(claim):,} is a round number that no log prints")


def shipped_totals(folder: Folder, log: SeedLog) -> list[int]:
    """The model's bytes that the log prints plus a shipped script, or all that ships: a run whose script was packed after it."""
    model = log.run.model_bytes
    return [] if model is None else [model + size for size in (*folder.scripts.values(), folder.shipped_bytes)]


def code(folder: Folder) -> Iterator[Finding]:
    """The code size that a log prints is that of the shipped script, and the same for every seed."""
    scripts = folder.scripts
    sizes = [log.run.code_bytes for log in folder.logs]
    packed = ((folder.claims or {}).get("golf") or {}).get(
        "packed"
    ) is True  # golf's own: the readable script ran, the packed one ships
    for log in folder.logs:
        size = log.run.code_bytes
        if size is not None and scripts and size not in scripts.values() and not packed:
            yield Finding(
                "code-bytes", "low", f"{log.name}: log code size {size} not equal to any shipped .py {scripts}"
            )
    known = {log.name: size for log, size in zip(folder.logs, sizes, strict=True) if size is not None}
    if len(set(known.values())) > 1:
        yield Finding("code-bytes", "low", f"the logs ran scripts of {len(set(known.values()))} sizes: {known}")
    claim = folder.number("bytes_code", "code_bytes")
    allowed = {size for log in folder.logs for size in (log.run.code_bytes, log.run.code_compressed_bytes)} - {None}
    allowed |= {*scripts.values(), folder.shipped_bytes} if packed else set()
    if claim is not None and folder.logs and int(claim) not in allowed:
        yield Finding("bytes_code", "low", f"claimed {int(claim)}; logs {sizes} scripts {scripts}")
        if claim % 1000 == 0:
            yield Finding("rounded", "low", f"bytes_code {int(claim):,} is a round number that no log prints")


def clocks(folder: Folder) -> Iterator[Finding]:
    """On the record track: 600 s of training and of evaluation, on eight GPUs."""
    if folder.track != "10min_16mb":
        return
    for log in folder.logs:
        run = log.run
        gpus = f" on {run.world_size} GPUs (world_size {run.world_size})" if run.world_size not in (None, 8) else ""
        if run.train_seconds is not None and run.train_seconds > CLOCK_SECONDS + CLOCK_TOLERANCE_SECONDS:
            yield Finding("wallclock", "high", f"{log.name} trained {run.train_seconds * 1000:,.0f} ms{gpus}")
        elif gpus:
            yield Finding("wallclock", "high", f"{log.name} ran{gpus}, not on 8")
        if run.eval_seconds is not None and run.eval_seconds > CLOCK_SECONDS:
            yield Finding("wallclock", "high", f"{log.name} evaluated for {run.eval_seconds:,.1f} s")


def data(folder: Folder) -> Iterator[Finding]:
    """All logs trained on the same, usual shards; all score the same validation tokens."""
    shards = {log.name: log.run.train_shards for log in folder.logs if log.run.train_shards is not None}
    for log in folder.logs:
        where = " ".join(
            filter(None, (log.run.dataset, log.run.val_files, log.run.hyperparameters.get("datasets_dir")))
        )
        caseops = "caseops" in where.lower() or log.run.hyperparameters.get("caseops_enabled") == "True"
        if caseops and log.run.train_shards not in (None, CASEOPS_SHARDS):
            yield Finding("data", "medium", f"{log.name} trained with train_shards {log.run.train_shards} ({log.run.hyperparameters.get('datasets_dir', where)}); "
                          f"the CaseOps records use {CASEOPS_SHARDS}")  # fmt: skip
    if len(set(shards.values())) > 1 and folder.track == "10min_16mb":
        yield Finding("data", "medium", f"the logs trained on different numbers of shards: {shards}")
    tokens = {log.run.val_tokens for log in folder.logs if log.run.val_tokens is not None}
    if len(tokens) > 1 and folder.track == "10min_16mb":
        yield Finding("data", "medium", f"the logs scored different numbers of validation tokens: {sorted(tokens)}")


def model(folder: Folder) -> Iterator[Finding]:
    """The logs are of the model that is claimed, and seeds with seed results are of one model."""
    claim = folder.number("model_params", "params", "num_params")
    params = {log.name: log.run.params for log in folder.logs if log.run.params is not None}
    if claim is not None and params and int(claim) not in params.values():
        yield Finding("wrong-log", "high", f"claimed {int(claim):,} parameters; logs {params}")
    claimed = [log for log in folder.logs if str(log.run.seed) in folder.seed_claims]
    known = {
        log.run.params for log in claimed if log.run.params is not None
    }  # a log of an evaluation alone counts none
    if len(known) > 1 and folder.track == "10min_16mb":
        yield Finding("configuration", "medium", f"the seeds are of different models: {params}")


def seeds(folder: Folder) -> Iterator[Finding]:
    """On the record track three seeds."""
    labels = (log.run.seed if log.run.seed is not None else log.seed_in_name for log in folder.logs)
    ran = {seed for seed in labels if seed is not None}
    if folder.track == "10min_16mb" and folder.logs and len(ran) < 3:
        yield Finding(
            "seeds",
            "info",
            f"{len(ran)} seed{'s' * (len(ran) != 1)} in the logs; a leaderboard row needs three of one configuration",
        )


CHECKS: tuple[Check, ...] = (totals, code, clocks, data, model, seeds)
