"""R01 and R02: what the submission weighs, per seed, in three readings of the code."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject, names

WRAPPER_SLACK_BYTES = 200
WRAPPER_BYTES = 120  # of the import and the call
# seconds of work: what is larger is not minified, or not weighed by LZMA
MOST_MINIFIED_BYTES = 250_000
MOST_WEIGHED_BYTES = 500_000
CODE_SUFFIXES = (".py", ".cpp", ".cc", ".c", ".cu", ".h")


def cap(subject: Subject) -> Iterable[Result]:
    """Every seed's total from disk, else as its log adds it up; the worst seed counts."""
    limit = int(subject.limits["cap_bytes"])
    totals = [(run, total) for run in _judged(subject) if (total := total_bytes(run, subject)) is not None]
    if not totals:
        return
    lines = tuple(f"{run.name}: {total:,} bytes" for run, total in totals)
    worst, total = max(totals, key=lambda pair: pair[1])
    if total > limit:
        over = [run for run, bytes_ in totals if bytes_ > limit]
        yield Result(
            State.FAIL, f"{total:,} bytes, {total - limit:,} over {limit:,} ({len(over)} of {len(totals)} seeds)",
            lines, worst.file, worst.total_line,
        )  # fmt: skip
    else:
        yield Result(State.PASS, f"worst seed {total:,} of {limit:,} bytes", lines, worst.file, worst.total_line)


def _judged(subject: Subject) -> list[Run]:
    """The runs that the claim rests on, else all."""
    return subject.scored_runs or subject.runs


def total_bytes(run: Run, subject: Subject) -> int | None:
    """Code plus model of one seed: artifact and shipped script from disk (golf's own runs), else the log's own total."""
    if run.artifact_bytes is not None and subject.source is not None:
        return run.artifact_bytes + subject.source.shipped_bytes + subject.source.helper_bytes
    return run.total_bytes


def cap_in_json(subject: Subject) -> Iterable[Result]:
    """The bytes that submission.json claims; weak, since the logs know better."""
    claims = subject.claims or {}
    limit = int(subject.limits["cap_bytes"])
    claimed = [
        claims.get(key) for key in ("bytes_total", "artifact_bytes_max", "artifact_bytes", "artifact_size_bytes")
    ]
    claimed += [
        claim.entry.get(key) for claim in subject.seed_claims.values() for key in ("artifact_bytes", "bytes_total")
    ]
    numbers = [int(value) for value in claimed if isinstance(value, int | float) and value > 0]
    if not numbers or subject.claims_path is None:
        return
    worst = max(numbers)
    if worst > limit:
        yield Result(
            State.FAIL, f"submission.json itself claims {worst:,} bytes, over {limit:,}", file=subject.claims_path.name
        )
    elif not any(total_bytes(run, subject) for run in subject.runs):
        yield Result(
            State.UNKNOWN,
            f"submission.json claims {worst:,} bytes; no log or artifact shows it",
            file=subject.claims_path.name,
        )


def mebibytes(subject: Subject) -> Iterable[Result]:
    """A README or script that takes the cap for 16 MiB."""
    pages = [("README.md", subject.readme or "")]
    if subject.source is not None:
        pages.append((subject.source.path.name, subject.source.main.text))
    for name, text in pages:
        for mark in ("16777216", "16_777_216", "16,777,216", "16 * 1024 * 1024", "16*1024*1024", "16 << 20"):
            if mark in text and "not" not in text[max(0, text.find(mark) - 60) : text.find(mark)].lower():
                line = text.count("\n", 0, text.find(mark)) + 1
                yield Result(
                    State.UNKNOWN, f"{name} speaks of {mark} bytes: the cap is decimal", file=name, line=line, weak=True
                )
                break


def code_readings(subject: Subject) -> Iterable[Result]:
    """Three readings of the total: raw code with every local file that it uses, the shipped script, what the log claims."""
    source = subject.source
    models = [(run, model) for run in _judged(subject) if (model := run.artifact_bytes or run.model_bytes) is not None]
    if source is None:
        return
    limit = int(subject.limits["cap_bytes"])
    helpers = [path.name for path in source.helpers + source.data]
    raw = source.shipped_bytes + source.helper_bytes
    code = f"shipped script {source.shipped_bytes:,} bytes" + (
        f" + {source.helper_bytes:,} of {names(helpers)}" if helpers else ""
    )
    if not models:
        if not helpers and source.readable:
            yield Result(State.PASS, f"{code}; it uses no other local file", file=source.path.name)
        else:
            yield Result(
                State.UNKNOWN,
                f"{code}; no log says what the model weighs",
                tuple(source.faults),
                source.path.name,
                weak=True,
            )
        return
    run, model = max(models, key=lambda pair: pair[1])
    counted = run.code_compressed_bytes or run.code_bytes
    readings = (
        f"raw: {raw + model:,} = {code} + model {model:,}",
        f"shipped script alone: {source.shipped_bytes + model:,}",
        f"as the log counts: {(counted or 0) + model:,}" if counted else "as the log counts: it prints no code size",
    )
    yield from _weigh(raw, model, counted, limit, readings, source.path, helpers)


def _weigh(
    raw: int, model: int, counted: int | None, limit: int, readings: tuple[str, ...], script: Path, helpers: list[str]
) -> Iterable[Result]:
    if raw + model <= limit:
        yield Result(State.PASS, f"{raw + model:,} bytes with all code as shipped", readings, script.name)
        return
    code = [script, *(script.parent / name for name in helpers if name.endswith(CODE_SUFFIXES))]
    data = sum((script.parent / name).stat().st_size for name in helpers if not name.endswith(CODE_SUFFIXES))
    texts = [path.read_bytes() for path in code if path.is_file()]
    code_bytes = sum(map(len, texts))
    wrapped = wrapped_bytes(texts) + data
    if wrapped + model > limit and code_bytes <= MOST_MINIFIED_BYTES:
        wrapped = min(wrapped, wrapped_bytes([_minified(path) for path in code if path.is_file()]) + data)
    lines = (*readings, f"wrapped (minified, compressed): about {wrapped + model:,}")
    if wrapped + model > limit and code_bytes > MOST_WEIGHED_BYTES:
        yield Result(
            State.UNKNOWN, f"{code_bytes:,} bytes of code, more than any script: not weighed as a wrapper would",
            readings, script.name, strict=State.FAIL,
        )  # fmt: skip
    elif wrapped + model > limit:
        yield Result(
            State.FAIL, f"{wrapped + model:,} bytes even with the code compressed, over {limit:,}", lines, script.name
        )
    elif counted is not None and counted + WRAPPER_SLACK_BYTES < min(wrapped, raw):
        yield Result(
            State.UNKNOWN,
            f"the log counts {counted:,} bytes of code; compressed here it is {wrapped:,}",
            lines,
            script.name,
            strict=State.FAIL,
        )
    else:
        yield Result(
            State.PASS, "fits only with the code compressed: the wrapper that is counted is not the script that is shipped",
            lines, script.name, strict=State.FAIL,
        )  # fmt: skip


def wrapped_bytes(texts: Sequence[bytes]) -> int:
    """About what code weighs LZMA-compressed and in base85, as merged records count it.

    At most that where there is more than `MOST_WEIGHED_BYTES` of it: DEFLATE in its place, since LZMA would take seconds.
    """
    import lzma
    import zlib

    whole = b"".join(texts)
    if len(whole) > MOST_WEIGHED_BYTES:
        small = len(zlib.compress(whole, 1))
    else:
        small = len(lzma.compress(whole, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]))
    return small * 5 // 4 + WRAPPER_BYTES


def _minified(path: Path) -> bytes:
    """A Python file minified; as it is where the minifier cannot take it."""
    raw = path.read_bytes()
    try:
        import python_minifier

        small: str = python_minifier.minify(
            raw.decode(), rename_locals=False, hoist_literals=False, remove_literal_statements=True
        )
        return small.encode()
    except (SyntaxError, ValueError, RecursionError, ImportError):
        return raw


def claimed_code(subject: Subject) -> Iterable[Result]:
    """submission.json totals that leave code out: a claimed artifact equal to the model alone."""
    for run in _judged(subject):
        claim = subject.seed_claims.get(str(run.seed)) or subject.seed_claims.get(str(run.seed_in_name))
        claimed = claim.artifact_bytes if claim is not None else None
        if claimed and run.model_bytes == claimed and run.total_bytes not in (None, claimed):
            fits = run.total_bytes is not None and run.total_bytes <= int(subject.limits["cap_bytes"])
            yield Result(
                State.UNKNOWN if fits else State.FAIL,
                f"submission.json counts the model alone for seed {run.seed}: {claimed:,} of {run.total_bytes:,} bytes",
                file=run.file, line=run.total_line, weak=fits,
            )  # fmt: skip
