"""Data: shards in the official format, tokenizers and their byte accounting, the embedded corpus, proofs of disjointness.

`golf.data.source.resolve_data` says which data a run reads; the other modules are what it stands on.
"""
