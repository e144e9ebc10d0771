"""`golf data`: fetch FineWeb, make the embedded corpus, lock the bytes, prove that train and validation are disjoint."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Shards and tokenizers: fetch them, make the embedded ones, lock their bytes, prove them disjoint.",
)

Vocabulary = Annotated[int, typer.Option("--vocab", help="Pieces of the tokenizer.")]
TransformName = Annotated[
    Literal["none", "caseops"],
    typer.Option("--transform", help="What the text went through: CaseOps writes capitals as markers."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DataPath = Annotated[Path | None, typer.Option(help="Folder of shards (default: DATA_PATH, FineWeb, embedded).")]
TokenizerPath = Annotated[
    Path | None, typer.Option(help="SentencePiece model (default: TOKENIZER_PATH, beside the data).")
]


@app.command()
def get(
    vocab: Vocabulary = 1024,
    shards: Annotated[int, typer.Option(help="How many train shards, 100 M tokens (0.2 GB) each.")] = 80,
    transform: TransformName = "none",
    repo: Annotated[
        str | None,
        typer.Option(help="Dataset repository on the hub (default: the challenge's, for CaseOps @romeerp's)."),
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Folder inside the repository (default: `datasets`).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print files and bytes, fetch nothing.")] = False,
    json: Json = False,
) -> None:
    """Fetch FineWeb shards and tokenizer from the Hugging Face hub into `data/` of this project.

    $ golf data get --shards 10 --dry-run

    $ golf data get --transform caseops --vocab 8192
    """
    from golf.data import fetch
    from golf.project import find_root

    repo = repo or (fetch.CASEOPS_REPO if transform == "caseops" else fetch.REPO)
    items = fetch.plan_files(find_root(), vocab, shards, fetch.PREFIX if prefix is None else prefix, transform)
    if not dry_run:
        fetch.fetch_files(items, vocab, repo, tell=talk)
    if json:
        print_json({"repo": repo, "dry_run": dry_run, "files": [vars(item) for item in items]})
        return
    todo = [item for item in items if not item.present]
    state = {True: "here", False: "to fetch" if dry_run else "fetched"}
    rows = [
        [item.remote, "unknown" if item.expected_bytes is None else f"{item.expected_bytes:,}", state[item.present]]
        for item in items
    ]
    print_table(f"dataset {repo}", ["file", "bytes", ""], rows, right=["bytes"])
    print(f"{len(todo)} of {len(items)} files, about {sum(item.expected_bytes or 0 for item in todo):,} bytes")


@app.command()
def make(
    vocab: Vocabulary = 1024,
    transform: TransformName = "none",
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="Documents: files (.jsonl, .parquet, .csv, .txt), a folder of them, or USER/NAME[:CONFIG] on the hub."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the shards (with --text).")] = None,
    tokenizer_path: Annotated[
        Path | None, typer.Option(help="SentencePiece model (default: one of --vocab pieces, trained on the text).")
    ] = None,
    column: Annotated[str, typer.Option(help="Field that holds a document's text.")] = "text",
    split: Annotated[str, typer.Option(help="Split of a data set on the hub.")] = "train",
    val_docs: Annotated[int, typer.Option(help="The first documents are the validation split.", min=1)] = 50_000,
    most_docs: Annotated[int | None, typer.Option(help="Stop after this many documents.", min=2)] = None,
    shard_tokens: Annotated[int, typer.Option(help="Tokens of a shard.", min=2)] = 100_000_000,
    processes: Annotated[int | None, typer.Option(help="Encode with this many (default: one a core).", min=1)] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where: on this machine, or on a Ray cluster (RAY_ADDRESS) with golf on its nodes."),
    ] = "local",
    json: Json = False,
) -> None:
    """Make shards from any text, every document proven to come back; or the embedded corpus (public-domain English).

    What was stopped goes on when called again. Without --text: the embedded corpus, in the cache.

    $ golf data make --vocab 1024

    $ golf data make --text docs.jsonl --transform caseops
    """
    from golf.cli.pages.data import print_embedded, print_made

    if text is None:
        from golf.data.embedded import make_embedded

        made = make_embedded(vocab, transform)
        if json:
            print_json({"folder": made.folder, "manifest": made.manifest, "proof": made.proof})
        else:
            print_embedded(made)
        return
    from golf.data.api import make_from_text
    from golf.engine import engine_named

    done = make_from_text(
        text, out, vocab, transform, tokenizer_path, column=column, split=split, val_documents=val_docs,
        most_documents=most_docs, shard_tokens=shard_tokens, processes=processes, mapper=engine_named(engine).in_order, tell=talk,
    )  # fmt: skip
    if json:
        print_json({"folder": done.folder, "tokenizer": done.tokenizer, "manifest": done.manifest})
    else:
        print_made(done)


@app.command()
def lock(
    vocab: Vocabulary = 1024,
    data_path: DataPath = None,
    tokenizer_path: TokenizerPath = None,
    out: Annotated[Path | None, typer.Option(help="Write the lock to this file instead of stdout.")] = None,
    check: Annotated[Path | None, typer.Option(help="Compare with this lock; exit 1 where a file differs.")] = None,
    json: Json = False,
) -> None:
    """Print the sha256 of tokenizer and shards as TOML, or compare them with an earlier lock.

    $ golf data lock --out data.lock
    """
    from golf.data.lock import differences, lock_text, write_lock
    from golf.data.source import resolve_data

    source = resolve_data(vocab, data_path, tokenizer_path)
    found = differences(source, check) if check else []
    if json:
        print_json({"name": source.name, "sha256": source.sha256s, "differences": found if check else None})
    elif check:
        print("\n".join(found) or f"{len(source.sha256s)} files are as locked")
    elif out:
        write_lock(source, out)
    else:
        print(lock_text(source), end="")
    if found:
        raise typer.Exit(Exit.RULE_BROKEN)


@app.command()
def prove(
    vocab: Vocabulary = 1024,
    data_path: DataPath = None,
    train: Annotated[
        Path | None, typer.Option(help="Train shards: a folder or one file (default: of the data).")
    ] = None,
    val: Annotated[Path | None, typer.Option(help="Validation shards: a folder or one file.")] = None,
    tolerance: Annotated[float, typer.Option(help="Share of validation tokens that may lie in shared runs.")] = 0.0,
    json: Json = False,
) -> None:
    """Prove that train and validation share no document and no run of 64 tokens (rule R22); exit 1 where they do.

    At full size, windows are sampled by their content, memory stays under half a gigabyte, and what was stopped goes on.

    $ golf data prove --train data/datasets/mine
    """
    from golf.cli.pages.data import print_proof
    from golf.data.known import recognised, sentence
    from golf.data.prove import prove as prove_disjoint
    from golf.data.prove import state_of
    from golf.data.source import split_paths

    splits = split_paths(vocab, data_path, train, val)
    found = prove_disjoint(*splits, state_of(splits[1]), talk)
    known = recognised(val_tokens=found.val_tokens, train_shards=len(splits[0]))
    if json:
        print_json({**vars(found), "shared_share": found.shared_share, "disjoint": found.within(tolerance),
                    "known": [{"name": one.name, "good": one.good, "rules": list(one.rules)} for one in known]})  # fmt: skip
    else:
        print_proof(found, found.within(tolerance), sentence(known))
    if not found.within(tolerance):
        raise typer.Exit(Exit.RULE_BROKEN)
