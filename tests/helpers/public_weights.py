"""Public checkpoints under golf's names, as the tests of the parts read the golden vectors."""

from golf.reading.public_weights import from_public

__all__ = ["from_public"]
