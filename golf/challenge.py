"""Facts of the challenge that code needs, each named once; the rule packs hold what the rules say of them, with sources."""

CAP_BYTES = 16_000_000  # code and compressed weights together
TRAIN_CAP_SECONDS = 600.0
EVAL_CAP_SECONDS = 600.0
SCRIPT = "train_gpt.py"
TRACKS = ("10min_16mb", "non_record_16mb", "local")
TRACK_FOLDERS = {"10min_16mb": "track_10min_16mb", "non_record_16mb": "track_non_record_16mb", "local": "local"}
