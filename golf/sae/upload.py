"""`golf sae card RUN`: a run of dictionaries as a folder to upload, with a card that says what they are (README.md with front matter).

The front matter has what golf knows: no licence is chosen for the author. No path of this machine goes along: in every file a path
is replaced by its last part.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golf import __version__
from golf.files import json_text, link_or_copy, parse_json, write_atomically
from golf.sae.api import dictionaries_in
from golf.sae.evaluate import run_config
from golf.sae.files import load_plain, refuse_full, save_plain
from golf.sae.measured import CSV_NAME
from golf.sae.report import Report, gather
from golf.sae.tables import markdown_table, sections

COPIED = (CSV_NAME, "plots/*.png", "plots/*.svg", "trained_documents.npy")
REWRITTEN = (
    "config.json",
    "stats_layer*.json",
    "measurements_layer*.json",
    "students.json",
    "probes.json",
    "timing.json",
)
TAGS = ("sparse-autoencoder", "mechanistic-interpretability")
PATH = re.compile(r"^((?:golf|hf|hub):)?(?:~?/|[A-Za-z]:\\).*")  # of a file: with a root, behind a source's word or not


def upload_folder(run: Path, out: Path | None = None) -> list[Path]:
    """Write the folder (default RUN/upload), the card first; the files written, relative to nothing.

    GolfError: RUN was not measured, or has no dictionaries; (10) the folder holds something already.
    """
    home = out or run / "upload"
    report, config = gather(run), run_config(run)
    files = dictionaries_in(run)
    refuse_full(home)
    home.mkdir(parents=True, exist_ok=True)
    written = [home / "README.md"]
    for path in files:
        content = load_plain(path)
        content["config"] = without_paths(content.get("config") or {})
        written.append(save_plain(home / path.name, content))
    for pattern in COPIED:
        for path in sorted(run.glob(pattern)):
            target = home / path.relative_to(run)
            target.parent.mkdir(exist_ok=True)
            link_or_copy(path, target)
            written.append(target)
    for pattern in REWRITTEN:
        for path in sorted(run.glob(pattern)):
            text = json_text(without_paths(parse_json(path.read_text())), 1) + "\n"
            write_atomically(home / path.name, text.encode())
            written.append(home / path.name)
    pictures = [path.relative_to(home) for path in written if path.suffix == ".svg"]
    write_atomically(
        home / "README.md", card(run.name, report, config, [path.name for path in files], pictures).encode()
    )
    return written


def without_paths(value: Any) -> Any:
    """A plain value in which every string that is a path with a root is only its last part: `golf:/home/me/x.golf` is `golf:x.golf`."""
    if isinstance(value, Mapping):
        return {key: without_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(one) for one in value]
    if isinstance(value, str) and (found := PATH.match(value)):
        return (found[1] or "") + re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return without_held_out_path(value) if isinstance(value, str) else value


def without_held_out_path(text: str) -> str:
    """`held out of /home/me/web.jsonl` as `held out of web.jsonl`."""
    start = "held out of "
    return start + without_paths(text.removeprefix(start)) if text.startswith(start + "/") else text


def front_matter(fields: Mapping[str, Any]) -> list[str]:
    """YAML between its two lines; values are strings, lists of strings, or lists of tables (written as JSON, which YAML reads)."""
    lines = ["---"]
    for key, value in fields.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            lines += [f"{key}:", *(f"- {json_text(one, ascii_only=False)}" for one in value)]
        else:
            lines.append(f"{key}: {json_text(value, ascii_only=False)}")
    return [*lines, "---", ""]


def hub_name(spec: str) -> str | None:
    """`owner/name` of a source or a text that lies on the hub; None for a local one."""
    found = re.fullmatch(r"(?:hf|hub):([\w.-]+/[\w.-]+)", spec)
    return found[1] if found else None


def card(name: str, report: Report, config: Mapping[str, Any], files: list[str], pictures: list[Path]) -> str:
    """The card of a run of dictionaries, as Markdown with front matter."""
    first = next(iter(report.measured.values()))
    settings, said = config.get("settings") or {}, first["config"]
    data = str((config.get("data") or {}).get("name", ""))
    spec = str(first["source"]["spec"])
    fields: dict[str, Any] = {"library_name": "golf", "tags": [*TAGS, str(said.get("arch", "relu"))]}
    if base := hub_name(spec):
        fields["base_model"] = base
    if text := hub_name(data):
        fields["datasets"] = [text]
    lines = [*front_matter(fields), f"# {name}: {report.title.lower()}", ""]
    lines += [f"- {key}: {without_paths(value)}" for key, value in _facts(report)]
    chosen = {key: settings[key] for key in ("place", "expansion", "k", "l1", "l1_form", "target_l0", "lr", "tokens", "batch_tokens", "norm", "seed") if settings.get(key) is not None and (key != "k" or said.get("k"))}  # fmt: skip
    if chosen:
        lines.append("- training: " + ", ".join(f"{key} {value}" for key, value in chosen.items()))
    if data:
        lines.append(f"- trained on: {without_paths(data)}")
    lines.append(f"- written by golf {__version__}; the licence is the author's to name")
    for title, remark, (columns, rows) in sections(report):
        lines += ["", f"## {title}", "", *([remark, ""] if remark else []), *markdown_table(columns, rows)]
    lines += ["", "## Files", "", *(f"- `{file}`" for file in files), "", "```python", "import torch", "",
              f'saved = torch.load("{files[-1]}", weights_only=True)', 'weights, config = saved["model_state"], saved["config"]', "```", "",
              "`z = select(relu(encoder.weight @ (x - b_pre) + encoder.bias))`, `x̂ = decoder.weight @ z + b_pre`, where select is that of",
              "`config[\"arch\"]`; `golf sae export` writes the layouts of SAELens, dictionary_learning and sparsify."]  # fmt: skip
    if pictures:
        lines += ["", "## Pictures", "", *(f"![{path.stem}]({path.as_posix()})" for path in pictures)]
    return "\n".join(lines) + "\n"


def _facts(report: Report) -> list[tuple[str, str]]:
    """The report's facts with the model by its name: its spec may be a path."""
    first = next(iter(report.measured.values()))["source"]
    rows = dict(report.facts())
    rows["model"] = f"{first['name']} (`{without_paths(first['spec'])}`), width {first['model_dim']:,}"
    held = next(iter(report.measured.values()))["held_out"]
    rows["held-out text"] = rows["held-out text"].replace(held["origin"], without_paths(held["origin"]))
    return list(rows.items())
