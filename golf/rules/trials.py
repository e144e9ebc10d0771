"""The trial of a subject's script, held once: a stranger's where running was asked for, golf's own always, in its short form."""

import os
import re
from pathlib import Path

from golf.errors import GolfError
from golf.files import files_below, read_text
from golf.reading.claims import headline
from golf.rules.execution import is_ours
from golf.rules.experiments.printed import printed_scores
from golf.rules.experiments.trial import Trial, drawn_seed, hold_trial
from golf.rules.subject import Subject, names

MOST_LOG_BYTES = 8_000_000
OFFICIAL_VOCABULARY = 1024


def trial_of(subject: Subject) -> Trial | None:
    """What the experiments showed, once per subject; None where running was not asked for."""
    return subject.once("trial", _hold)


def _hold(subject: Subject) -> Trial | None:
    source, script = subject.source, subject.script
    ours = is_ours(subject)
    if source is None or script is None or not (subject.execute or ours):
        return None
    depth = "deep" if subject.deep else "quick" if subject.quick or not subject.execute else "default"
    seed = drawn_seed()
    if "seed" in subject.acts:
        seed = int(subject.acts["seed"])
    trial = hold_trial(
        script, subject.folder if subject.kind != "script" else None, depth=depth, seed=seed, unsafe=subject.unsafe,
        claimed=claimed_labels(subject), tokenizer=official_tokenizer(subject), sources=(source.main.text,), own=ours,
    )  # fmt: skip
    subject.notes.append(
        f"experiments: {trial.depth}, seed {trial.seed}, {trial.plays} run{'s' * (trial.plays != 1)} in {trial.seconds:.0f} s ({trial.cpu_seconds:.0f} of CPU)"
        + (f"; left out: {', '.join(trial.left_out)}" if trial.left_out else "")
    )
    if trial.unowned:
        subject.notes.append(
            f"in no optimizer while the model is trained, so it stays as it was made: {names(trial.unowned)}"
        )
    return trial


def claimed_labels(subject: Subject) -> frozenset[str]:
    """The labels of the log lines that back the claim: those that print a claimed score to four digits or more."""
    claims = {claim.val_bpb for claim in subject.seed_claims.values()} | {headline(subject.claims)}
    wanted = {f"{value:.4f}" for value in claims if value is not None}
    if not wanted:
        return frozenset()
    found: dict[str, int] = {}
    for path in files_below(subject.folder):
        if path.suffix in (".log", ".txt"):
            for score in printed_scores(read_text(path, MOST_LOG_BYTES) or ""):
                if score.bpb is not None and f"{score.bpb:.4f}" in wanted and not re.match(r"^step\b", score.label):
                    found[score.label] = found.get(score.label, 0) + 1
    return frozenset(found)


def official_tokenizer(subject: Subject | None = None) -> bytes | None:
    """The contest's SentencePiece model of 1,024 pieces, where it is on this machine: beside the data that DATA_PATH or the runs of a
    subject name, or in the project's folder of data; None where it is not."""
    from golf.data.source import find_tokenizer
    from golf.project import find_root
    from golf.rules.local_data import folders

    root = find_root()
    named = [Path(place)] if (place := os.environ.get("DATA_PATH")) else []
    for place in (*named, *(folders(subject) if subject else ()), root / "data" / "datasets" / "official"):
        try:
            return find_tokenizer(OFFICIAL_VOCABULARY, place, root).read_bytes()
        except (GolfError, OSError):
            continue
    return None
