"""Data: shards in the official format, tokenizers, CaseOps and its side-car, data sets from any text, proofs of disjointness.

`golf.data.source.resolve_data` says which data a run reads; the other modules are what it stands on.
"""
