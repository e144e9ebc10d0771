"""What a knob may be."""

Slot = str
Chain = tuple
