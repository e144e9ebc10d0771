"""Where the checkout, the helpers and the official data beside the checkout lie."""

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
