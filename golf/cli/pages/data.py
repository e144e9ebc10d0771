"""What `golf data make` and `golf data prove` show."""

from golf.cli.output import print_lines, print_table
from golf.data.api import Made
from golf.data.embedded import Embedded
from golf.data.overlap import Overlap


def print_embedded(made: Embedded) -> None:
    """The embedded corpus: its splits, what they share, and the variables that name it."""
    columns = ["split", "documents", "lines", "tokens", "text bytes"]
    rows = [[split, *(f"{count:,}" for count in made.manifest[split].values())] for split in ("train", "val")]
    print_table(made.manifest["name"], columns, rows, right=columns[1:])
    print("shared by train and val: " + ", ".join(f"{name} {count}" for name, count in made.proof["shared"].items()))
    print(f"export DATA_PATH={made.dataset}\nexport TOKENIZER_PATH={made.tokenizer}")


def print_made(made: Made) -> None:
    """A data set made from text: what was written, what was proven, and the variables that name it."""
    columns = ["split", "documents", "tokens", "text bytes", "uncounted", "bytes/token"]
    rows = []
    for split in ("train", "val"):
        facts = made.manifest[split]
        numbers = [facts["documents"], facts["tokens"], facts["text_bytes"], facts["uncounted_bytes"]]
        rows.append([split, *(f"{number:,}" for number in numbers), f"{facts['text_bytes'] / facts['tokens']:.3f}"])
    print_table(made.manifest["name"], columns, rows, right=columns[1:])
    lines = []
    if made.manifest["settings"]["transform"] == "caseops":
        lines.append("every document came back from CaseOps to the byte")
    odd = sum(made.manifest[split]["not_as_normalised"] for split in ("train", "val"))
    if odd:
        first = [number for split in ("val", "train") for number in made.manifest[split]["examples"]][:5]
        lines.append(
            f"{odd:,} document{'s' * (odd > 1)} whose tokens do not decode to the text as the tokenizer normalises it "
            f"(number {', '.join(f'{number:,}' for number in first)}{', …' if odd > len(first) else ''})"
        )
    lines.append(f"prove train and validation disjoint: `golf data prove --train {made.folder} --val {made.folder}`")
    print_lines(lines)
    print(f"export DATA_PATH={made.folder}\nexport TOKENIZER_PATH={made.tokenizer}")


def print_proof(found: Overlap, disjoint: bool, known: str) -> None:
    """What two splits share, and which known set the counts are of."""
    columns = ["split", "documents", "tokens"]
    rows = [
        ["train", f"{found.train_documents:,}", f"{found.train_tokens:,}"],
        ["val", f"{found.val_documents:,}", f"{found.val_tokens:,}"],
    ]
    print_table(None, columns, rows, right=columns[1:])
    print(f"set: {known}")
    print(f"shared documents: {found.shared_documents:,}")
    of = "" if found.sample == 1 else f", of one window in {found.sample}, chosen by its content"
    print(f"shared runs of 64 tokens: {found.shared_shingles:,}, {found.shared_share:.4%} of the validation tokens{of}")
    if found.examples:
        print("they start at validation tokens " + ", ".join(f"{at:,}" for at in found.examples))
    print("disjoint" if disjoint else "not disjoint")
