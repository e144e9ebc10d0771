"""A causal toy language model in float64 numpy: what the toy evaluators score with and adapt.

h[t] = sum over j of 0.6^j E[x[t - j]] inside its window; logits = h W + c. Only W and c are adapted. V = 16 symbols.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from golf.rules.dynamic.scores import Ids

Floats = npt.NDArray[np.float64]
DECAY = 0.6
VOCAB = 16
WIDTH = 8


@dataclass
class Toy:
    """embed: (V, D), head: (D, V), bias: (V,)."""

    embed: Floats
    head: Floats
    bias: Floats

    @classmethod
    def make(cls, seed: int = 0) -> "Toy":
        rng = np.random.default_rng(seed)
        return cls(rng.normal(size=(VOCAB, WIDTH)), 0.6 * rng.normal(size=(WIDTH, VOCAB)), 0.3 * rng.normal(size=VOCAB))

    def copy(self) -> "Toy":
        return Toy(self.embed.copy(), self.head.copy(), self.bias.copy())

    def hidden(self, ids: Ids) -> Floats:
        """(T, D) of a window's ids (T,)."""
        states = np.empty((len(ids), self.embed.shape[1]))
        state = np.zeros(self.embed.shape[1])
        for t, token in enumerate(ids):
            state = DECAY * state + self.embed[token]
            states[t] = state
        return states

    def log_probs(self, hidden: Floats, delta: Floats | None = None, bias: Floats | None = None) -> Floats:
        """(T, V) log-probabilities, with an optional change of the hidden states (SLOT) or of the logits."""
        logits = (hidden if delta is None else hidden + delta) @ self.head + self.bias
        return log_softmax(logits if bias is None else logits + bias)

    def step(self, ids: Ids, targets: Ids, rate: float) -> None:
        """One SGD step of the mean loss on a window."""
        hidden = self.hidden(ids)
        error = np.exp(self.log_probs(hidden))
        error[np.arange(len(targets)), targets] -= 1.0
        self.head -= rate * hidden.T @ error / len(targets)
        self.bias -= rate * error.mean(0)


def log_softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
