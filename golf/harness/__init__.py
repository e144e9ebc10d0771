"""Strangers' scripts run whole and small on a CPU, in a box: what they print and write is observed from outside, nothing is judged here."""
