"""Chosen matrices in fp16: what quantization hurts most stays as it is (PR #61's folder, late keys; PR #162, Raahil Shah).

#162 keeps the keys of its last layer, of nine; #180 the same name of ten, so the last but one; the WarmdownQuantization row the last
two layers' keys.
"""


class Knobs:
    fp16_matrices: tuple = ("attn.c_k",)  # names inside a block
    fp16_layers: "0 <= tuple[int] < 256" = (8,)


def chosen_in_fp16(h, tagged, hessians):
    """{name: 16} of the chosen matrices: a slot for `assign_bits`."""
    chosen = {f"blocks.{layer}.{matrix}.weight" for layer in h.fp16_layers for matrix in h.fp16_matrices}
    names = {entry.name for entry in tagged}
    assert chosen <= names, f"no matrix is called {sorted(chosen - names)[:1]}: look at fp16_matrices and fp16_layers"
    return dict.fromkeys(chosen, 16)
