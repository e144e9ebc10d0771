"""Experiments on whole scripts: texts of a known law in, printed scores out, and the verdict of a theorem on the difference."""
