"""Mixed precision: more bits for the matrices whose inputs are strongest (traces of the Hessians), fewer for the rest.

Behind an entropy coder SDClip's k is the better knob: what is paid there is the entropy of the codes, not their bits (PR #1935).

By count as in PR #1105 and its line, or to a mean number of bits as in PR #1089.
"""


class Knobs:
    high_bits: "2 <= int <= 8" = 6
    low_bits: "2 <= int <= 8" = 5
    high_bits_count: "0 <= int <= 1000000" = 32  # matrices that get high_bits
    mean_bits: "2 <= float <= 8" = 5.5  # over all weights of attention and MLP


def by_sensitivity(tagged, hessians):
    """(name, weights, trace per input) of the matrices of attention and MLP that have a Hessian, the most sensitive first."""
    matrices = [
        (entry.name, entry.param.numel(), float(hessians[entry.name].diag().mean()))
        for entry in tagged
        if entry.tag.role in ("attn", "mlp") and entry.name in hessians
    ]
    return sorted(matrices, key=lambda matrix: -matrix[2])


def bits_by_trace(h, tagged, hessians):
    """{name: bits}: high_bits for the `high_bits_count` most sensitive matrices."""
    assert h.calibrate, "bits by sensitivity need Hessians, and nothing collects them: set calibrate"
    assert h.low_bits <= h.high_bits, f"low_bits = {h.low_bits} are more than high_bits = {h.high_bits}"
    ranked = by_sensitivity(tagged, hessians)
    return {name: h.high_bits if i < h.high_bits_count else h.low_bits for i, (name, _, _) in enumerate(ranked)}


def bits_by_budget(h, tagged, hessians):
    """{name: bits}: high_bits for the most sensitive matrices as long as the mean stays within `mean_bits`."""
    assert h.calibrate, "bits by sensitivity need Hessians, and nothing collects them: set calibrate"
    assert h.low_bits <= h.high_bits, f"low_bits = {h.low_bits} are more than high_bits = {h.high_bits}"
    assert h.low_bits <= h.mean_bits, f"mean_bits = {h.mean_bits} cannot be kept with low_bits = {h.low_bits}"
    ranked = by_sensitivity(tagged, hessians)
    left = (h.mean_bits - h.low_bits) * sum(weights for _, weights, _ in ranked)
    bits = {}
    for name, weights, _ in ranked:
        cost = (h.high_bits - h.low_bits) * weights
        bits[name] = h.high_bits if cost <= left else h.low_bits
        left -= cost if cost <= left else 0
    return bits
