"""Running a submission: start the script over seeds, watch its clocks from outside, keep every result in one store."""
