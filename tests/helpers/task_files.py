"""Rows of the downstream tasks, written as their files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HELLASWAG_ROWS = [
    {"ind": 4, "activity_label": "Baking", "ctx_a": "She opens the oven.", "ctx_b": "the cake", "split_type": "indomain",
     "ctx": "She opens the oven. the cake", "split": "val", "source_id": "ours~1", "label": 1,
     "endings": ["flies.", "has risen well.", "sings.", "votes."]},
    {"ind": 9, "activity_label": "Roof", "ctx_a": "A man climbs [substeps] a  ladder.", "ctx_b": "he", "split": "val",
     "ctx": "A man climbs a ladder. he", "split_type": "zeroshot", "source_id": "ours~2", "label": "3",
     "endings": ["eats the roof.", "is the ladder.", "drinks [step] it.", "lays tiles."]},
    {"ind": 12, "activity_label": "Tea", "ctx_a": "Pour water", "ctx_b": "", "split": "val", "ctx": "Pour water",
     "split_type": "zeroshot", "source_id": "ours~3", "label": "0",
     "endings": ["on the leaves.", "on fire.", "into ink.", "upwards slowly."]},
    *[{"ind": 20 + i, "activity_label": "Count", "ctx_a": f"There are {i}.", "ctx_b": "so", "ctx": f"There are {i}. so",
       "split": "val", "split_type": "indomain", "source_id": f"ours~{4 + i}", "label": str(i),
       "endings": ["one.", "two.", "three.", "four."]} for i in range(4)],
]  # fmt: skip


LAMBADA_ROWS = [
    {"text": f"the {first} saw the {second} and then the {first} greeted the {second}"}
    for first, second in (("cat", "dog"), ("king", "fool"), ("wind", "tree"), ("boy", "girl"), ("sun", "moon"), ("a", "b"))
]  # fmt: skip


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
