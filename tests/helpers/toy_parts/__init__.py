"""A tiny GPT in parts, for the composer's tests: every kind of choice, and every shape of code that folding meets."""
