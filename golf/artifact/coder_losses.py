"""What coders lose over the order-0 entropy of codes, measured on 786,432 Gaussian codes a step (`benchmarks/coders.py`).

Contexts find nothing in Gaussian codes, so theirs is of trained ones. On 21 M codes of Adam's weights our contexts make 4.9 thousandths less
than the entropy, `lrzip` on transposed codes 4.0; on two small twins of Muon's weights 3.3 and 2.9 with tables and states. The records
that used `lrzip` published 6.5 thousandths less than their codes' predicted entropy: what ours, at least as good on the same codes, is
taken to find in such weights, less a margin.
"""

# fmt: off
# bits a code at which they were measured
ENTROPIES = (
    2.06, 2.25, 2.44, 2.53, 2.73, 3.02, 3.21, 3.31, 3.51, 3.61,
    3.81, 4.1, 4.3, 4.5, 4.7, 5.1, 5.5, 6, 6.5, 6.8, 7.2, 7.5,
)
LOSSES = {  # coded / entropy − 1, in thousandths
    "ZlibCoder": (198.2, 190.6, 184.7, 180.1, 174.3, 166.7, 160.8, 158.7, 154.4, 153.4,
        147.1, 138.1, 129.3, 118.3, 99.8, 63.2, 36, 20.5, 10.3, 10.3, 11, 6.9),
    "ZstdCoder": (56.8, 35.7, 19.8, 18.2, 22, 24.7, 17.5, 18.4, 9.6, 6.8,
        11.8, 15.7, 11.4, 8, 8.6, 12.2, 7.5, 11.4, 8.3, 10.5, 9.9, 4.1),
    "LzmaCoder": (122, 119.9, 115.5, 93.4, 75.1, 66.2, 70.9, 67.6, 48.6, 53.4,
        39.1, 37.6, 34, 31.1, 28, 26.1, 22.9, 20.4, 17.9, 16.2, 15.6, 15.1),
    "BrotliCoder": (53.1, 31.9, 15.7, 14.6, 18.3, 21.3, 13.6, 14.1, 7.1, 4.5,
        8.7, 11.5, 8.9, 4.5, 5.4, 8.9, 3.9, 6.8, 3.3, 4.3, 5.9, 2.8),
    "BitpackCoder": (34.3, 30.8, 27, 25.4, 22.6, 317.4, 307.5, 298.1, 275.1, 261.3,
        210.6, 195.1, 180.8, 165.1, 148.9, 26.5, 23.2, 20.9, 18.2, 16.5, 15.9, 15.2),
    "RansCoder": (0.5,) * 22,
    "ContextRansCoder": (-6.0,) * 22,
}
# fmt: on


def coder_loss(coder: str, bits: float) -> float:
    """In thousandths: between the measured entropies on a line, beyond them as at the last; 0 for a coder that was not measured."""
    losses = LOSSES.get(coder, (0.0,) * len(ENTROPIES))
    for i in range(1, len(ENTROPIES)):
        if bits <= ENTROPIES[i]:
            share = max((bits - ENTROPIES[i - 1]) / (ENTROPIES[i] - ENTROPIES[i - 1]), 0.0)
            return losses[i - 1] + share * (losses[i] - losses[i - 1])
    return losses[-1]
