"""What ships: its bytes weighed from disk, and its score measured again from those bytes alone."""
