"""Techniques: one file each, flat."""
