"""How often the referee is right: specimens of every family, a legal folder, planted faults, and the labelled corpus."""
