"""What `--json` prints has the shape that docs/schemas says: keys and types, per command, and `"schema": 1` first.

`GOLF_WRITE_SCHEMAS=1 pytest tests/cli/test_schemas.py` writes them anew; a change of shape is a change for whoever reads it.
"""

import json
import os
import re

import pytest
from places import ROOT
from schemas import merged, schema_of
from study_fakes import driver, make_ablation, make_fakes

FOLDER = ROOT / "docs" / "schemas"
TWIN = ROOT / "records" / "local" / "2026-11-22_Baseline_smoke_twin"
LOG = TWIN / "train_seed42.log"
# file → the calls whose documents it describes together
CALLS = {
    "ls": ["ls --json", "ls techniques --json", "ls slots --json", "ls chains --json", "ls knobs --json", "ls rules --json"],
    "show-recipe": ["show baseline --json", "show pr1809 --json"],
    "show-knob": ["show num_layers --json", "show knob:muon_wd --json"],
    "show-slot-or-chain": ["show attn_out --json", "show coder --json"],
    "show-technique": ["show technique:xsa --json", "show technique:partial_rope --json"],
    "size": ["size baseline --no-artifact --json"],
    "verify": [f"verify {TWIN} --only folder,json,log,static,stats --json"],
    "explain": ["explain R01 --json", "explain R38 --json"],
    "record-check": [f"record --check {TWIN} --json"],
    "compare": [f"compare {TWIN} {TWIN} --json", f"compare {TWIN} 1493 --json"],
    "repro": [f"repro {TWIN} --from-logs {TWIN} --json", f"repro {TWIN} --from-logs again.log --json", f"repro pr1493 --from-logs {TWIN} --json"],
    "leaderboard": ["leaderboard --json"],
    "logs": [f"logs show {LOG} --json"],
    "audit": [f"audit {TWIN} --json"],
    "sweep": ["sweep --name fake --show --json"],
    "ablate": ["ablate --name why --show --json"],
    "study-plan": ["sweep baseline --over num_layers=2,3 --dry-run --json", "ablate pr1493 --drop xsa --dry-run --rate 20 --json"],
    "status": ["status --json"],
    "error": ["show nothing_of_the_kind --json", "verify nowhere --json"],
}  # fmt: skip


def described(name, documents):
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"golf {name.replace('-', ' ')} --json",
    }
    return {**about, **merged(schema_of(document) for document in documents)}


def studied(root):
    """A finished sweep and a finished ablation in the project at `root`."""
    os.environ["FAKE_STEP_SECONDS"] = "0.001"
    for study in (make_fakes(root, 2), make_ablation(root, 2)):
        driver(root, name=study.name).run()


@pytest.mark.parametrize("name", CALLS)
def test_what_is_printed_as_json_has_the_shape_that_is_written_down(golf, name):
    documents = []
    again = re.sub(r"train_loss:(\d+\.\d)", r"train_loss:\g<1>9", LOG.read_text()).replace(
        "train_shards:", "train_shards:9"
    )
    (golf.root / "again.log").write_text(again)  # another run of it, on other shards
    if name in ("sweep", "ablate"):
        studied(golf.root)
    for line in CALLS[name]:
        _, out, err = golf(line)
        documents.append(json.loads(out or err))
        assert next(iter(documents[-1])) == "schema" and documents[-1]["schema"] == 1
    text = json.dumps(described(name, documents), indent=1) + "\n"
    if os.environ.get("GOLF_WRITE_SCHEMAS"):
        (FOLDER / f"{name}.json").write_text(text)
    assert json.loads((FOLDER / f"{name}.json").read_text()) == json.loads(text), (
        "renew with GOLF_WRITE_SCHEMAS=1 if meant"
    )


def test_the_page_lists_every_schema():
    page = (ROOT / "docs" / "json.md").read_text()
    assert (
        set(re.findall(r"schemas/([a-z-]+)\.json", page)) == set(CALLS) == {path.stem for path in FOLDER.glob("*.json")}
    )


def test_shapes_are_inferred_as_they_are():
    found = merged([schema_of({"a": 1, "seeds": {"42": 1.5}}), schema_of({"a": None, "b": [1, "x"], "seeds": {}})])
    assert found["properties"]["a"] == {"type": ["integer", "null"]} and found["required"] == ["a", "seeds"]
    assert found["properties"]["b"] == {"type": "array", "items": {"type": ["integer", "string"]}}
    assert found["properties"]["seeds"]["additionalProperties"] == {"type": "number"}
