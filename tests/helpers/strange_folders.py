"""Strange and damaged record folders, drawn by a seed: what a referee must answer with a verdict or one clear sentence."""

import json
import os
import random
import time

from golf.errors import GolfError
from golf.rules import verify_folder
from golf.rules.calibration.scripts import BOTH, ILLEGAL, LEGAL
from golf.rules.calibration.specimen import write_specimen

KINDS = ("folder", "json", "log", "static", "stats")
SCRIPTS = [*LEGAL.values(), *(text for _, text in (ILLEGAL | BOTH).values())]
WORDS = [
    b"val_bpb:",
    b"0.0",
    b"-1e999",
    b"nan",
    b"step:1/",
    b"\0",
    b"\xff\xfe",
    b"{",
    b"}",
    b"(" * 90,
    b"seed:",
    b"9" * 400,
    b"\xe2\x80\xa8",
    b"def f():\n",
]


def damaged(rng, content):
    """Bytes with some cut, repeated, replaced or put in."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        end = min(end, at + 2000)
        content = rng.choice(
            [
                content[:at] + content[end:],
                content[:end] + content[at:end] + content[end:],
                content[:at] + rng.choice(WORDS) + content[at:],
                content[:at] + bytes(rng.randrange(256) for _ in range(min(end - at, 40))) + content[end:],
            ]
        )
    return content


def strange_folder(rng, base):
    """A specimen with its script, JSON, page, logs and names damaged at random; rarely something that is no file."""
    folder = write_specimen(base, script=rng.choice(SCRIPTS))
    for path in sorted(folder.iterdir()):
        turn = rng.random()
        if turn < 0.4:
            path.write_bytes(damaged(rng, path.read_bytes()))
        elif turn < 0.45:
            path.write_bytes(b"")
        elif turn < 0.5:
            path.unlink()
    if rng.random() < 0.2:
        table = {
            key: rng.choice([None, [], {}, "x", -1, 1e308, True, "9" * 50])
            for key in ("val_bpb", "seed_results", "seeds", "date", "track", "author")
        }
        (folder / "submission.json").write_text(json.dumps(table))
    odd = rng.random()
    if odd < 0.05:
        (folder / "loop").symlink_to(folder)
    elif odd < 0.1:
        (folder / "train_gpt.log").mkdir()
    elif odd < 0.15:
        os.mkfifo(folder / "train_seed5.log")
    elif odd < 0.2:
        (folder / "submission2.json").symlink_to("/etc/passwd")
    return folder


def judge_strange(seed, base):
    """CPU seconds of the verdict on one strange folder below `base`, and whether it was a verdict rather than one sentence."""
    folder = strange_folder(random.Random(seed), base)
    began = time.process_time()
    judged = True
    try:
        verdict = verify_folder(folder, only=KINDS)
    except GolfError as fault:
        assert fault.message and "\n" not in fault.message
        judged = False
    else:
        assert len(verdict.findings) > 30
        assert not [
            f.message for f in verdict.findings if f.message.startswith("the check ") and " failed: " in f.message
        ]
    seconds = time.process_time() - began
    assert seconds < 10
    return seconds, judged
