"""What golf says of six official record folders, kept whole: a change of an answer is seen here, and made on purpose.

`GOLF_WRITE_GOLDEN=1 pytest tests/test_official_goldens.py` writes the answers anew; the diff of official_answers.txt is the review.
"""

import difflib
import json
import os
from pathlib import Path

GOLDEN = Path(__file__).with_name("official_answers.txt")
# two early ones, one of the model that the recipes start from, two whose claims and logs disagree, one off the record track
FOLDERS = (
    "track_10min_16mb/2026-03-19_WarmdownQuantization",
    "track_10min_16mb/2026-03-21_11L_XSA4_EMA_PartialRoPE_LateQAT_1.1248",
    "track_10min_16mb/2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT",
    "track_10min_16mb/2026-04-18_PR1626_CaseOps_Taper",
    "track_10min_16mb/2026-04-27_SmearGateBOSFix_PR1787Base_LQERAsym_PhasedTTT",
    "track_non_record_16mb/2026-04-04_GDN_Hybrid_LongContext",
)
BASE = FOLDERS[2]


def answers(golf, records):
    """The lines of the golden: verify, record --check and compare of each folder, then the board."""

    def asked(line):
        code, out, err = golf(line)
        return {"exit_code": code, **json.loads(out or err)}

    for folder in FOLDERS:
        place, name = records / folder, folder.partition("/")[2][:24]
        found = asked(f"verify {place} --json --only folder,json,log,static,stats")
        yield f"verify {name} track={found['track']} exit={found['exit_code']} {found['counts']}"
        for row in found["findings"]:
            strict = "" if row["strict"] == row["state"] else f" (strict {row['strict']})"
            yield f"verify {name} {row['code']} {row['state']}{strict}: {row['message']}"
        found = asked(f"record --check {place} --json")
        yield f"record {name} exit={found['exit_code']}"
        for row in found["findings"]:
            yield f"record {name} {row['severity']} {row['kind']}: {row['detail']}"
        for row in found["logs"]:
            yield f"record {name} {row['log']}: seed {row['seed']} val_bpb {row['val_bpb']} ({row['why']})"
        if folder != BASE:
            found = asked(f"compare {records / BASE} {place} --json")
            scores = {seed: values[0] for seed, values in found["b"]["seeds"].items()}
            p = {kind: test and f"{test['p']:.4g}" for kind, test in found["tests"].items()}
            gap = found["delta_nats_per_token"]
            yield f"compare {name} seeds={scores} p={p} nats/token={gap if gap is None else f'{gap:+.5f}'}"
    for row in asked("leaderboard --json")["rows"]:
        yield f"leaderboard {row['track']} {row['rank']} {row['score']} {row['date']} {row['key']} {row['author']} {row['status']}"


def test_the_answers_on_official_folders_change_on_purpose(golf, shared):
    place = str(shared)
    text = "\n".join(line.replace(place, "…") for line in answers(golf, shared / "records")) + "\n"
    if os.environ.get("GOLF_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    diff = list(
        difflib.unified_diff(GOLDEN.read_text().splitlines(), text.splitlines(), "kept", "now", lineterm="", n=0)
    )
    assert not diff, "\n".join(["renew with GOLF_WRITE_GOLDEN=1 if meant:", *diff])
