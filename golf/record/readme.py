"""README.md of a record, from measured data: results, method with credits, compliance, commands, environment, honestly."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from golf.board.frontier import judge, predecessor
from golf.challenge import CAP_BYTES, SCRIPT
from golf.data.known import data_line
from golf.figures.png import can_draw
from golf.project import is_adopted
from golf.reading.needs import needs_of
from golf.record.changed import section
from golf.record.claims import NOT_A_RESULT, blurb, derived_changes, hardware, torch_of, why_local
from golf.record.evidence import Evidence, Seed
from golf.record.method import credits_of, method
from golf.stats import bpb_of, bytes_per_token_of, confidence, p_text

LONGEST_EVIDENCE = 80  # characters; of longer evidence the first clause is told
PLACE_OF_COMPLIANCE = "<!-- compliance -->"


def readme_of(evidence: Evidence, name: str, plots: Mapping[str, str], date: str | None = None) -> str:
    """The text of README.md; the compliance section is filled in by `with_compliance`. date: of the record, today's without one."""
    date = date or datetime.now(UTC).date().isoformat()
    sections = [
        f"# {name}", _headline(evidence), blurb(evidence, remark=False), "## Results", _results(evidence), _statistics(evidence, date),
        *_plots(plots), *_changed(evidence), "## Method", _method(evidence), "## Compliance", PLACE_OF_COMPLIANCE,
        "## Reproduce", _commands(evidence), "## Environment and data", _environment(evidence), "## Files", _files(evidence, plots),
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _headline(evidence: Evidence) -> str:
    bpb, loss = evidence.bpb, evidence.loss
    spread = f"{bpb.n}-seed mean, sample sd {bpb.sd:.5f}" if bpb.sd is not None else "one seed"
    parts = [f"**val_bpb: {bpb.mean:.5f}** ({spread})"]
    if loss:
        parts.append(f"**{loss.mean:.5f} nats/token**")
    if evidence.worst_bytes is not None:
        parts.append(f"**{evidence.worst_bytes:,} bytes** (worst seed)")
    parts.append(hardware(evidence))
    line = " | ".join(parts)
    if evidence.challenge:
        return line
    return f"> **{NOT_A_RESULT.capitalize()}**: {why_local(evidence)}. Its numbers compare with nothing on the leaderboard.\n\n{line}"


def _results(evidence: Evidence) -> str:
    rows = [
        "| seed | steps | ms/step | pre-quant BPB | quantized BPB | **final BPB** | val_loss (nats) | bytes | train s | eval s |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows += [_result_row(evidence, seed) for seed in evidence.seeds]
    bpb, loss = evidence.bpb, evidence.loss
    rows.append(f"| **Mean** | | | {_mean_stage(evidence, 'pre_quant')} | {_mean_stage(evidence, 'quantized')} | **{bpb.mean:.5f}** | "
                f"{f'{loss.mean:.5f}' if loss else ''} | | | |")  # fmt: skip
    if bpb.sd is not None:
        rows.append(
            f"| **Sample sd** | | | | | {bpb.sd:.5f} | {f'{loss.sd:.5f}' if loss and loss.sd is not None else ''} | | | |"
        )
    return "\n".join([*rows, *(f"\n{remark}" for remark in evidence.remarks)])


def _result_row(evidence: Evidence, seed: Seed) -> str:
    run = seed.run
    cells = (
        str(seed.seed), _whole(run.steps), _real(run.step_ms, 2), _real(run.pre_quant.val_bpb if run.pre_quant else None, 5),
        _real(run.quantized.val_bpb if run.quantized else None, 5), f"**{seed.val_bpb:.8f}**", _real(seed.val_loss, 8),
        _whole(evidence.total_bytes(seed)), _real(run.train_seconds, 1), _real(run.eval_seconds, 1),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _mean_stage(evidence: Evidence, stage: str) -> str:
    scores = [getattr(seed.run, stage) for seed in evidence.seeds]
    return f"{sum(score.val_bpb for score in scores) / len(scores):.5f}" if all(scores) else ""


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _real(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _changed(evidence: Evidence) -> list[str]:
    """The section of what changed, for a script of one's own."""
    if evidence.recipe is None or is_adopted(evidence.submission):
        return []
    return ["## What changed and why", section(evidence.submission, evidence.recipe)]


def _statistics(evidence: Evidence, date: str) -> str:
    """What the spread allows to say; against the record that it had to beat on its day, only for results of the challenge."""
    lines = [
        f"Standard deviations have n − 1 in the denominator; n = {evidence.bpb.n}, seeds {', '.join(str(seed.seed) for seed in evidence.seeds)}."
    ]
    interval = confidence(evidence.bpb)
    if interval:
        lines.append(f"95 % interval of the mean: {interval[0]:.5f} to {interval[1]:.5f}.")
    if evidence.loss and evidence.bpb.mean:
        per_token = bytes_per_token_of(evidence.loss.mean, evidence.bpb.mean)
        lines.append(
            f"{per_token:.5f} bytes per token: 0.005 nats per token is {bpb_of(0.005, per_token):.5f} BPB here."
        )
    row = predecessor(date)
    if evidence.track == "10min_16mb" and row is not None:
        verdict = judge({str(seed.seed): (seed.val_bpb, seed.val_loss) for seed in evidence.seeds}, row)
        bars = ", ".join(f"{label} p {p_text(test.p)}" if test else f"{label}: cannot be told"
                         for label, test in (("no margin", verdict.progression), ("0.005-nat margin", verdict.strict)))  # fmt: skip
        lines.append(
            f"Against {row.label} ({row.score}, {row.date}), the record of the days before {date}: {verdict.delta_bpb:+.5f} BPB"
            + (f", {verdict.delta_nats:+.5f} nats per token" if verdict.delta_nats is not None else "")
            + f"; one-sided {bars}{'' if verdict.exact else '; its seeds are not known, its score stands as a fixed number'}."
        )
    if evidence.left_out:
        lines.append(f"Also run with this script, and left out by choice: {', '.join(evidence.left_out)}.")
    lines += [f"Note: {note}." for note in evidence.notes]
    return "\n".join(lines)


def _plots(plots: Mapping[str, str]) -> list[str]:
    return [f"![{caption}]({name})" for name, caption in plots.items()]


def _method(evidence: Evidence) -> str:
    recipe = evidence.recipe
    if recipe is None:
        return "The submission has no readable recipe; `train_gpt.py` is what ran."
    if is_adopted(evidence.submission):
        return _method_of_strangers(recipe)
    told = method(recipe)
    if derived_changes(evidence):
        told.append(
            "Quantized again after training with: "
            + ", ".join(f"`{key} = {value}`" for key, value in derived_changes(evidence).items())
            + "."
        )
    credits = [*credits_of(recipe), *([f"Source: {recipe.source}"] if recipe.source else [])]
    if credits:
        told.append("### Credits\n\n" + "\n".join(f"- {line}" for line in credits))
    return "\n\n".join(told)


def _method_of_strangers(recipe: Any) -> str:
    """An imported script: whose it is, and what the numbers are of."""
    by = f" by {', '.join(recipe.authors)}" if recipe.authors else ""
    return (
        f"{recipe.title or recipe.name}: a script{by}, {recipe.source or 'imported'}, as its authors wrote it. The method is theirs and "
        "stands in their README; the numbers above are of the runs whose logs lie here."
    )


def _commands(evidence: Evidence) -> str:
    world = max((seed.run.world_size or 1 for seed in evidence.seeds), default=1)
    result = evidence.seeds[0].run.result or {}
    clock = result.get("max_wallclock_seconds", evidence.seeds[0].run.max_wallclock_seconds)
    cap = f"MAX_WALLCLOCK_SECONDS={clock:g} " if clock is not None else ""
    steps = f"ITERATIONS={evidence.seeds[0].run.iterations} " if evidence.seeds[0].run.iterations else ""
    seeds = " ".join(str(seed.seed) for seed in evidence.seeds)
    variant = _variant(evidence)
    data = (
        f"python3 data/cached_challenge_fineweb.py --variant {variant}   # in a clone of the challenge\n"
        if variant
        else ""
    )
    return (
        f"```bash\npip install -r requirements.txt\n{_attention(evidence)}{data}"
        f"for seed in {seeds}; do\n"
        f"  SEED=$seed {cap}{steps}DATA_PATH=… TOKENIZER_PATH=… \\\n"
        f"    torchrun --standalone --nproc_per_node={world} train_gpt.py | tee train_seed$seed.log\ndone\n```\n\n"
        "`DATA_PATH` is a folder with `fineweb_train_*.bin` and `fineweb_val_*.bin`, `TOKENIZER_PATH` a SentencePiece model.\n"
        f"With golf: `golf run {evidence.submission.name} --seeds {','.join(seeds.split())}{' --smoke' if evidence.smoke else ''}`."
    )


def _variant(evidence: Evidence) -> str:
    """The variant of the official data set that the runs read, "" for data of one's own; CaseOps has no published variant."""
    run = evidence.seeds[0].run
    where = f"{run.dataset or ''} {run.val_files or ''} {run.hyperparameters.get('datasets_dir', '')}".lower()
    if evidence.track == "local" or "caseops" in where or run.vocab_size is None:
        return ""
    return "byte260" if run.vocab_size <= 260 else f"sp{run.vocab_size}"


def _attention(evidence: Evidence) -> str:
    """How FlashAttention 3 is installed, where the script cannot do without it."""
    script = evidence.submission / SCRIPT
    if not script.is_file() or "flash_attn_interface" not in (needs_of(script).imports or ()):
        return ""
    return "pip install flash_attn_3   # FlashAttention 3, a wheel for this torch and CUDA, or built from its `hopper/` folder\n"


def _environment(evidence: Evidence) -> str:
    run = evidence.seeds[0].run
    result: Mapping[str, Any] = run.result or {}
    torch, claimed = torch_of(evidence)
    rows = [
        ("hardware", hardware(evidence)), ("torch", f"{torch} ({claimed})" if claimed else torch), ("attention", result.get("attention")),
        ("CUDA", _cuda(torch or "")), ("Python", run.python), ("dtype", result.get("dtype")), ("parameters", _whole(run.params)), ("vocabulary", run.vocab_size),
        ("validation tokens", _whole(run.val_tokens)), ("training shards", run.train_shards),
        ("data", run.dataset or run.val_files), ("data, locked", _data(evidence)),
        ("tokenizer sha256", evidence.tokenizer_sha256), ("train_gpt.py", f"{len(evidence.script):,} bytes, sha256 {evidence.script_sha256}"),
    ]  # fmt: skip
    return "| | |\n|---|---|\n" + "\n".join(f"| {key} | {value} |" for key, value in rows if value not in (None, ""))


def _data(evidence: Evidence) -> str | None:
    """The line that says which shards: `pgolf-sp8192@sha256:…`; None where their hash is not known."""
    run = evidence.seeds[0].run
    if evidence.data_sha256 is None:
        return None
    name = (run.dataset or "").rstrip("/").rpartition("/")[2] or "data"
    return "data: " + data_line(name, evidence.data_sha256, vocab_size=run.vocab_size, val_tokens=run.val_tokens)


def _cuda(torch: str) -> str | None:
    """12.8 of torch 2.9.1+cu128; None where its version does not say."""
    found = re.search(r"\+cu(\d{2})(\d)", torch)
    return f"{found[1]}.{found[2]}" if found else None


def _files(evidence: Evidence, plots: Mapping[str, str]) -> str:
    also = " (and as PNG)" if can_draw() else ""
    lines = [
        f"- `train_gpt.py`: {_script(evidence)} ({len(evidence.shipped.script):,} bytes, counted)",
        *(
            f"- `{name}`: read by the script ({path.stat().st_size:,} bytes, counted)"
            for name, path in evidence.shipped.files.items()
        ),
        *(
            f"- `{name}`: its authors' own ({path.stat().st_size:,} bytes, not read by the script, not counted)"
            for name, path in evidence.shipped.beside.items()
        ),
        "- `submission.json`: the same numbers for machines",
        *(f"- `{seed.log.name}`: the whole log of seed {seed.seed}" for seed in evidence.seeds),
        "- `requirements.txt`",
        *(f"- `{name}`{also}: {caption}" for name, caption in plots.items()),
    ]
    return "\n".join(lines)


def _script(evidence: Evidence) -> str:
    return (
        "the script that ran, packed; it unpacks itself" if evidence.shipped.packed else "the script exactly as it ran"
    )


def with_compliance(text: str, verdict: Any) -> str:
    """`text` with the section of what `golf verify` found; "not verified" without a verdict."""
    if verdict is None:
        section = "Not verified: `golf verify` was not available when this record was written."
    else:
        from golf.rules.report import summary, table

        rows = ["| rule | state | found |", "|---|---|---|"]
        folded: dict[str, list[str]] = {}  # rules of one finding, and those that do not apply, in a row
        for state, rule, message, *_ in table(verdict):
            if state == "N/A":
                folded.setdefault(state, []).append(rule.partition(" ")[0])
            else:
                rows.append(f"| {rule} | {state} | {short(message).replace('|', '/')} |")
        rows += [f"| {' '.join(rules)} | {state} | nothing that they are about |" for state, rules in folded.items()]
        section = (
            f"`golf verify`, rules `{verdict.pack}`, track `{verdict.track}`: {summary(verdict)}.\n\n"
            f"Cap: {CAP_BYTES:,} bytes.\n\n<details><summary>Every rule</summary>\n\n"
            + "\n".join(rows)
            + "\n\n</details>"
        )
    return text.replace(PLACE_OF_COMPLIANCE, section)


def short(message: str) -> str:
    """A rule's evidence in its first clause, with the checks that it names: "`plain` does not look ahead (D1)"."""
    checks = re.findall(r"\bD\d+\b", message)
    clause = message.split("; ", maxsplit=1)[0] if len(message) > LONGEST_EVIDENCE else message
    missing = [check for check in dict.fromkeys(checks) if check not in clause]
    return f"{clause} ({', '.join(missing)})" if missing else clause
