"""Mixed precision: more bits for the matrices whose inputs are strongest (traces of the Hessians), fewer for the rest.

Behind an entropy coder SDClip's k is the better knob: what is paid there is the entropy of the codes, not their bits (PR #1935).

By count as in PR #1105 and its line (the recurrent layers first in PR #1204, Marko Sisovic), or to a mean number of bits as in PR
#1089. A matrix's sensitivity is the sum of its Hessian's diagonal, so more inputs count for more.
"""

from golf.parts.quant import int8_rows
from golf.parts.techniques.gptq_lite import gptq_lite_matrix


class Knobs:
    high_bits: "2 <= int <= 8" = 6
    low_bits: "2 <= int <= 8" = 5
    high_bits_count: "0 <= int <= 1000000" = 32  # matrices that get high_bits
    high_bits_layers: "0 <= tuple[int] < 256" = ()  # layers whose matrices come before all others, with repeated MLPs
    mean_bits: "2 <= float <= 8" = 5.5  # over all weights of attention and MLP


def by_sensitivity(tagged, hessians):
    """(name, weights, trace) of the matrices of attention and MLP that have a Hessian, the most sensitive first."""
    matrices = [
        (entry.name, entry.param.numel(), float(hessians[entry.name].diag().sum()))
        for entry in tagged
        if entry.tag.role in ("attn", "mlp") and entry.name in hessians
    ]
    return sorted(matrices, key=lambda matrix: -matrix[2])


def bits_by_trace(h, tagged, hessians):
    """{name: bits}: high_bits for the `high_bits_count` most sensitive matrices."""
    assert h.calibrate, "bits by sensitivity need Hessians, and nothing collects them: set calibrate"
    assert h.low_bits <= h.high_bits, f"low_bits = {h.low_bits} are more than high_bits = {h.high_bits}"
    ranked = by_sensitivity(tagged, hessians)
    if h.high_bits_layers:
        stems = ("route.repeat.", *(f"blocks.{layer}." for layer in h.high_bits_layers))
        ranked.sort(key=lambda matrix: not matrix[0].startswith(stems))
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


def bits_by_trace_and_tables(h, tagged, hessians):
    """The same, and low_bits for the projections of tables, which have no Hessian (PR #1204)."""
    tables = [entry.name for entry in tagged if entry.tag.role == "table" and entry.name.endswith("proj.weight")]
    return bits_by_trace(h, tagged, hessians) | dict.fromkeys(tables, h.low_bits)


def table_rows_or_search(h, w, hessian, bits, role):
    """A slot for `table_quantizer`: 8-bit rows for tables, the percentile search for projections with fewer bits (PR #1204)."""
    if bits == 8:
        return int8_rows(h, w, hessian, bits, role)
    return gptq_lite_matrix(h, w, hessian, bits, role)
