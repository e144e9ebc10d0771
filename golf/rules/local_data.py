"""R20, R22, R24 on golf's own runs: the shards and the tokenizer that the log names are looked at themselves."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from golf.errors import GolfError
from golf.rules.findings import Result, State
from golf.rules.subject import Subject

SAMPLE_TOKENS = 400_000
SHARED_TOLERANCE = 0.0
SIDE_CAR_SLACK = 0.002  # of the bytes


def folders(subject: Subject) -> list[Path]:
    """The data folders that the runs' logs name and that are on this machine."""
    named = [Path(run.val_files).parent for run in subject.scored_runs or subject.runs if run.val_files]
    return [folder for folder in dict.fromkeys(named) if folder.is_dir() and any(folder.glob("fineweb_val_*.bin"))]


def disjoint(subject: Subject) -> Iterable[Result]:
    """No document and no run of 64 tokens of the validation shards stands in the train shards."""
    for folder in folders(subject):
        yield _disjoint(folder)


@cache
def _disjoint(folder: Path) -> Result:
    from golf.data.overlap import find_overlap
    from golf.data.shards import shard_files

    try:
        overlap = find_overlap(shard_files(folder, "train"), shard_files(folder, "val"))
    except GolfError as fault:
        return Result(State.UNKNOWN, fault.message)
    shown = (
        f"{overlap.train_tokens:,} train and {overlap.val_tokens:,} validation tokens compared: {overlap.shared_documents} documents "
        f"and {overlap.shared_shingles:,} runs of 64 tokens shared",
    )
    if overlap.within(SHARED_TOLERANCE):
        return Result(State.PASS, "train and validation shards share nothing", shown)
    return Result(State.FAIL, f"train shards hold {100 * overlap.shared_share:.2f} % of the validation tokens", shown)


def lossless(subject: Subject) -> Iterable[Result]:
    """The tokenizer undoes its encoding on the validation documents, and the byte tables agree with the decoded text."""
    for folder in folders(subject):
        vocabularies = {run.vocab_size for run in subject.runs if run.vocab_size}
        for vocab_size in sorted(vocabularies):
            yield _lossless(folder, vocab_size)


@cache
def _lossless(folder: Path, vocab_size: int) -> Result:
    from golf.data.accounting import byte_tables, count_bytes, decode_bytes
    from golf.data.caseops import is_caseops
    from golf.data.shards import read_split, split_documents
    from golf.data.side_car import check_side_car, has_side_car, read_side_car
    from golf.data.source import find_tokenizer
    from golf.data.tokenizer import load_tokenizer
    from golf.project import find_root

    try:
        sp = load_tokenizer(find_tokenizer(vocab_size, folder, find_root()), vocab_size)
        ids = read_split(folder, "val")[:SAMPLE_TOKENS]
    except GolfError as fault:
        return Result(State.UNKNOWN, fault.message)
    documents = split_documents(ids)[:-1] or split_documents(ids)
    wrong = sum(list(sp.encode(sp.decode(part := [int(i) for i in one if i > 2]))) != part for one in documents)
    whole = ids[: sum(len(one) for one in documents)]
    counted, decoded, counter, allowed = 0, decode_bytes(sp, whole), "byte table", 0.0
    if has_side_car(folder):
        try:
            check_side_car(sp, folder)
        except GolfError as fault:
            return Result(State.FAIL, fault.message)
        # it counts the text before the normaliser, which folds a few characters into shorter ones
        counted, counter, allowed = int(read_side_car(folder)[: len(whole)].sum(dtype=int)), "side-car", SIDE_CAR_SLACK
    elif is_caseops(sp):
        return Result(State.FAIL, "the tokens are text after CaseOps, and no side-car counts their bytes")
    else:
        counted = count_bytes(byte_tables(sp, vocab_size), whole)
    shown = (
        f"{len(documents)} validation documents: {wrong} change on decode and encode; {counter} {counted:,} bytes, "
        f"decoded text {decoded:,}",
    )
    if abs(counted - decoded) > allowed * decoded:
        return Result(State.FAIL, f"the {counter} counts {counted:,} bytes, the decoded text has {decoded:,}", shown)
    if wrong:
        return Result(State.UNKNOWN, f"{wrong} of {len(documents)} documents change on decode and encode", shown)
    return Result(State.PASS, "decoding and encoding the validation documents gives the same ids", shown)
