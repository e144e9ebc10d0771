"""Executable checks: properties that every legal evaluator has, tested on a toy model with nothing but its scores."""
