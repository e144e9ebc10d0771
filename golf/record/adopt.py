"""Adopt what others made: a record folder becomes a submission, its script unpacked, its results in the store."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.files import copy_folder, sha256_of, toml_text, write_atomically
from golf.logs import RunResult
from golf.project import ADOPTED, find_root
from golf.reading.choice import choose_logs
from golf.reading.folder import Folder, SeedLog, open_folder
from golf.reading.needs import needs_of
from golf.reading.script import find_script
from golf.recipe.catalogue import load_catalogue
from golf.record.elsewhere import NOTHING_STATED, Adopted, Stated, store_results, with_hardware
from golf.run.foreign import shipped_beside


def adopt_folder(
    path: Path, name: str | None = None, root: Path | None = None, stated: Stated = NOTHING_STATED
) -> Adopted:
    """A record folder → submissions/<name>: readable script, recipe with what the logs say, original kept, results in the store.

    Raises GolfError: no folder, no script, a name that is taken, a script that cannot be unpacked.
    """
    from golf.reading.unpack import unwrap

    record = open_folder(path)
    script = find_script(record.path)
    if script is None or script.stat().st_size == 0:
        raise GolfError(f"`{path}` has no training script to adopt", "a record folder holds train_gpt.py")
    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "_", re.sub(r"^\d{4}-\d{2}-\d{2}_", "", record.path.resolve().name))
    home = (root or find_root()) / "submissions"
    target = home / name
    if target.exists():
        raise GolfError(
            f"submissions/{name} is there already", "give it another name: `golf import … --name …`", Exit.REFUSED
        )
    unwrapped = unwrap(script)
    draft = home / f".adopt-{name}-{os.getpid()}"
    try:
        copy_folder(record.path, draft / "original")
        (draft / SCRIPT).write_text(unwrapped.source, encoding="utf-8")
        evidence = {script, *(log.path for log in record.logs)}
        for helper in shipped_beside(record.path):
            if helper not in evidence:
                write_atomically(draft / helper.relative_to(record.path), helper.read_bytes())
        chosen, notes = choose_logs(record, stated.seeds)
        runs = {seed: (log.path, with_hardware(log.run, stated.hardware)) for seed, log in chosen.items()}
        (draft / "recipe.toml").write_text(recipe_text(name, record, chosen), encoding="utf-8")
        (draft / "golf.lock").write_text(lock_text(name, (draft / SCRIPT).read_bytes()), encoding="utf-8")
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    ran = script.read_bytes()
    remarks = (
        () if stated.hardware is None else (f"hardware stated by hand: {stated.hardware[0]}x {stated.hardware[1]}",)
    )
    try:
        store_results(target, ran, runs, track=record.track, root=root or find_root(target), remarks=remarks)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # an import is whole or absent
        raise
    claimed = str((record.claims or {}).get("hardware") or "")
    return Adopted(
        target, tuple(chosen), unwrapped.layers, (*notes, *_remarks(target, unwrapped.remark, runs, claimed))
    )


def _remarks(target: Path, syntax: str, runs: Mapping[int, tuple[Path, RunResult]], claimed: str) -> list[str]:
    """What to know of an import: what its script needs, and whether its logs name their hardware. claimed: what its authors say."""
    needs = needs_of(target / SCRIPT)
    found = [f"its script {needs.text}"] if needs.text else [f"its script {syntax}"] if syntax else []
    nameless = [seed for seed, (_, run) in runs.items() if run.gpu is None and not (run.result or {}).get("device")]
    if nameless:
        says = f" (submission.json says {claimed[:60]!r})" if claimed else ""
        found.append(
            f"no log of seed {', '.join(map(str, nameless))} names its hardware{says}; state it: `--hardware '8x NVIDIA H100 80GB HBM3'`"
        )
    return found


def recipe_text(name: str, record: Folder, chosen: dict[int, SeedLog]) -> str:
    """recipe.toml of an adopted script: what it is and where it is from; its hyper-parameters as comments, golf has no knobs for them."""
    claims = record.claims or {}
    rows: dict[str, Any] = {
        "name": name, "title": str(claims.get("name") or record.path.resolve().name), "track": record.track,
        "seeds": list(chosen) or [1337], "authors": [str(claims["author"])] if claims.get("author") else [],
        "source": f"adopted from {record.path.resolve().name}",
    }  # fmt: skip
    published = {
        key: claims[key] for key in ("val_bpb", "val_loss", "bytes_total") if isinstance(claims.get(key), int | float)
    }
    if published:
        rows["published"] = published
    vocab_size = next((log.run.vocab_size for log in chosen.values() if log.run.vocab_size), None)
    if vocab_size:
        rows[load_catalogue().knobs["vocab_size"].part] = {"vocab_size": vocab_size}  # which data it reads
    about = "# An adopted script: train_gpt.py is its authors' own and is not composed from this file; original/ keeps what came."
    text = toml_text(rows, about)
    config = next(iter(chosen.values())).run.hyperparameters if chosen else {}
    if config:
        text += "\n# hyper-parameters that its log prints:\n" + "".join(
            f"# {key} = {value}\n" for key, value in sorted(config.items())
        )
    return text


def lock_text(name: str, script: bytes) -> str:
    """golf.lock of a script that no composer made: bound to its bytes, by a version that is nobody's."""
    rows: dict[str, Any] = {"golf": ADOPTED, "composer": "none", "recipe": name, "form": "readable", "recipe_sha256": "",
            "script_sha256": sha256_of(script)}  # fmt: skip
    return toml_text({**rows, "tools": {}}, "# written by `golf import`: an adopted script")


def report_of(adopted: Adopted) -> dict[str, Any]:
    """Plain data for `--json`."""
    return {**vars(adopted), "folder": str(adopted.folder)}
