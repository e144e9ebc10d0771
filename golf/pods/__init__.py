"""Pods: rented machines through SkyPilot: the task file, the handshake with a machine, a run that always tears its machine down."""
