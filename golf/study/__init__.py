"""Studies: many trials of one base submission over the same seeds, each an ordinary submission whose runs lie in the run store."""
