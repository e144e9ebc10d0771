"""Read what anyone wrote without running it: script, wrapper, container, record folder, its claims, the run behind a seed."""
