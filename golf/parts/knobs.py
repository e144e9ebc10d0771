"""What a knob may be, besides a number, a flag or a text.

A part declares its knobs in `class Knobs` (name, type, default, meaning) beside the code that reads them, and in `class Smoke`
the values that a small twin of a submission runs with. Neither class ships: the composer prints the knobs in use as `class h`.
"""

Slot = str  # exactly one implementation, named "module.Name", or "Name" where that is enough
Chain = tuple  # an ordered list of implementations at one point
