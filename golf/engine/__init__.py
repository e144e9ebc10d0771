"""Engines: one function over many arguments, in processes of this machine or on a Ray cluster; a dead worker costs one attempt."""
