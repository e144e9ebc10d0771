"""Engines: one function over many arguments, in processes of this machine or on a Ray cluster; a dead worker costs one attempt."""

from types import ModuleType

from golf.errors import GolfError


def engine_named(name: str) -> ModuleType:
    """`golf.engine.local` or, connected, `golf.engine.ray_engine`: both have `run_all` and `in_order`. GolfError: no such engine, no Ray,
    no cluster."""
    if name == "local":
        from golf.engine import local

        return local
    if name != "ray":
        raise GolfError(f"no engine `{name}`", "there are: local, ray")
    from golf.engine import ray_engine

    ray_engine.connect()
    return ray_engine
