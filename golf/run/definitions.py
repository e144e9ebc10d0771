"""The definitions of a script that golf composed, as a module: its model and readers, without its `main`.

They are executed, as `golf run` would.
"""

import sys
import types
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.files import sha256_of
from golf.reading.unpack import unpack


def load_script(path: Path) -> types.ModuleType:
    """The definitions of a composed script, packed or not, as a module of its own."""
    text = unpack(path)
    if "\nclass h:" not in text or "\nclass GPT(" not in text:
        raise GolfError(f"{path} was not composed by golf: its model has no one forward to read",
                        "name a submission that `golf compose` made", Exit.REFUSED)  # fmt: skip
    module = types.ModuleType(f"golf_submission_{sha256_of(text.encode())[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # classes look themselves up there
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module
