"""Whether single features mean what a label means, without a network: sparse probing, targeted probe perturbation, absorption.

After SAEBench (Karvonen et al. 2025, arXiv 2503.09532), on whatever labels are at hand:

sparse probing   one class against the rest by the k features whose mean codes differ most (Gurnee et al. 2023, arXiv 2305.01610);
                 beside it a probe of the whole stream and one of its k best dimensions
TPP              a probe of the stream for each class; the features that speak most for a class (difference of mean codes, times the
                 column's product with the probe) are taken out of the stream. Score: what the class's own probe loses of accuracy,
                 less what the others' lose (Karvonen et al. 2024, arXiv 2411.18895, "SHIFT and TPP")
absorption       a letter's main features do not fire on a token that begins with it, though the probe of the stream sees the letter,
                 and one other feature, whose column leans to the probe, carries it (Chanin et al. 2024, arXiv 2409.14507)

Ours: accuracy is balanced (the mean of both classes' shares), since classes need not be equally large; probes are logistic regressions
with an L2 penalty of half the squared weights beside the sum of the losses, of standardised inputs, by L-BFGS. So numbers compare
between dictionaries measured here, not with SAEBench's tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KS = (1, 2, 5)  # features of a sparse probe
TAKEN_OUT = (2, 5, 20)  # features of a class in TPP
SPLIT_GAIN = 0.03  # of F1 that one more main feature must bring
MOST_MAIN = 10
LEAST_ACCURACY = 0.6  # of the stream's probe of a letter: below it nobody knows what could have been absorbed
LEAST_COSINE, LEAST_SHARE = (
    0.025,
    0.4,
)  # of an absorbing feature's column with the probe; of the projection that it carries


@dataclass(frozen=True)
class Probe:
    """A linear classifier: positive where x · weight + bias > 0."""

    weight: Tensor  # (d) float64
    bias: float

    def says(self, x: Tensor) -> Tensor:
        """(N) bool of (N, d)."""
        return (x.double() @ self.weight + self.bias) > 0


def fit_probe(x: Tensor, labels: Tensor) -> Probe:
    """A balanced logistic regression of labels (N) bool on x (N, d); ValueError where one of the classes is empty."""
    if not 0 < int(labels.sum()) < len(labels):
        raise ValueError("a probe needs examples of both classes")
    x, y = x.double(), labels.double()
    mean, spread = x.mean(0), x.std(0, correction=0)
    z = (x - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))
    weights = torch.where(labels, len(y) / (2 * y.sum()), len(y) / (2 * (1 - y).sum()))
    w, b = (
        torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True),
        torch.zeros(1, dtype=torch.float64, requires_grad=True),
    )
    optimizer = torch.optim.LBFGS([w, b], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(z @ w + b, y, weight=weights, reduction="sum")
        loss = (losses + 0.5 * w.square().sum()) / len(y)
        loss.backward()
        return loss

    optimizer.step(closure)
    weight = w.detach() * torch.where(spread > 0, 1 / spread.clamp_min(1e-300), torch.zeros_like(spread))
    return Probe(weight, float(b.detach()) - float(mean @ weight))


def accuracy(said: Tensor, labels: Tensor) -> float:
    """The mean of the shares of positives and of negatives that are right, (N) bool each; ValueError where one is empty."""
    if not 0 < int(labels.sum()) < len(labels):
        raise ValueError("accuracy needs examples of both classes")
    return float((said[labels].double().mean() + (~said[~labels]).double().mean()) / 2)


def apart(x: Tensor, labels: Tensor) -> Tensor:
    """(F) mean of (N, F) over the positives less that over the negatives."""
    return x[labels].double().mean(0) - x[~labels].double().mean(0)


@dataclass(frozen=True)
class Labelled:
    """Pooled examples: the stream (N, d), codes (N, F), a class of each ("" for none), and which of them are tested on (N) bool."""

    x: Tensor
    codes: Tensor
    classes: Sequence[str]
    tested: Tensor

    @property
    def names(self) -> list[str]:
        """Classes with at least two examples to learn from and one to test on, and as many of the others."""
        found = []
        for name in sorted(set(self.classes) - {""}):
            own = self.of(name)
            counts = [int((part & where).sum()) for part in (own, ~own) for where in (~self.tested, self.tested)]
            if min(counts[0], counts[2]) >= 2 and min(counts[1], counts[3]) >= 1:
                found.append(name)
        return found

    def of(self, name: str) -> Tensor:
        """(N) bool: the examples of a class."""
        return torch.tensor([one == name for one in self.classes])


def sparse_probing(data: Labelled, ks: Sequence[int] = KS) -> dict[str, Any]:
    """Balanced test accuracy, the mean over the classes, of the k best features, the k best dimensions of the stream, and all of it."""
    totals: dict[str, list[float]] = {}
    learned = ~data.tested
    for name in data.names:
        y = data.of(name)
        whole = fit_probe(data.x[learned], y[learned])
        totals.setdefault("stream", []).append(accuracy(whole.says(data.x[data.tested]), y[data.tested]))
        for kind, values in (("features", data.codes), ("dimensions", data.x)):
            order = apart(values[learned], y[learned]).abs().argsort(descending=True)
            for k in ks:
                some = values[:, order[:k]]
                probe = fit_probe(some[learned], y[learned])
                totals.setdefault(f"{kind}_{k}", []).append(accuracy(probe.says(some[data.tested]), y[data.tested]))
    return {"classes": len(data.names), "examples": len(data.classes), "tested": int(data.tested.sum()),
            **{name: sum(values) / len(values) for name, values in totals.items()}}  # fmt: skip


def perturbation(data: Labelled, columns: Tensor, counts: Sequence[int] = TAKEN_OUT) -> dict[str, Any]:
    """TPP of classes: {n: score, own and other losses of accuracy} with n features of a class taken out; columns: (F, d).

    Pooling is a mean and taking out is linear, so the pooled stream less the pooled codes times the columns is exact.
    """
    learned, names = ~data.tested, data.names
    labels = {name: data.of(name) for name in names}
    probes = {name: fit_probe(data.x[learned], labels[name][learned]) for name in names}
    before = {name: accuracy(probes[name].says(data.x[data.tested]), labels[name][data.tested]) for name in names}
    found: dict[str, Any] = {"classes": len(names), "accuracy": sum(before.values()) / max(len(before), 1)}
    for count in counts if len(names) > 1 else ():
        own, other = list[float](), list[float]()
        for name in names:
            speaks = apart(data.codes[learned], labels[name][learned]) * (columns.double() @ probes[name].weight)
            best = speaks.topk(min(count, len(speaks)))
            picked = best.indices[best.values > 0]
            x = data.x[data.tested].double() - data.codes[data.tested][:, picked].double() @ columns[picked].double()
            for target in names:
                lost = before[target] - accuracy(probes[target].says(x), labels[target][data.tested])
                (own if target == name else other).append(lost)
        losses = sum(own) / len(own), sum(other) / len(other)
        found[f"tpp_{count}"] = {"score": losses[0] - losses[1], "own": losses[0], "others": losses[1]}
    return found


def main_features(codes: Tensor, labels: Tensor) -> list[int]:
    """The features that together find the positives by firing: each raises F1 by SPLIT_GAIN, best first; at least one."""
    fires, picked = codes > 0, list[int]()
    order = apart(codes, labels).argsort(descending=True)[: 4 * MOST_MAIN].tolist()
    said, best = torch.zeros(len(codes), dtype=torch.bool), 0.0
    while len(picked) < MOST_MAIN:
        scored = [(f1(said | fires[:, feature], labels), feature) for feature in order if feature not in picked]
        if not scored:
            break
        score, feature = max(scored, key=lambda one: one[0])
        if picked and score < best + SPLIT_GAIN:
            break
        picked.append(feature)
        said, best = said | fires[:, feature], score
    return picked


def f1(said: Tensor, labels: Tensor) -> float:
    """The harmonic mean of precision and recall; 0 where nothing is found."""
    right = int((said & labels).sum())
    return 2 * right / (int(said.sum()) + int(labels.sum())) if right else 0.0


def absorption(data: Labelled, columns: Tensor) -> dict[str, Any]:
    """Share of the tested positives that the stream's probe finds whose letter another feature has absorbed; columns: (F, d).

    By class: accuracy of the probe, main features, positives found, silent (no main feature fires), absorbed; rates are over the classes whose
    probe has LEAST_ACCURACY (`known`), None where none has.
    """
    learned, rows = ~data.tested, list[dict[str, Any]]()
    for name in data.names:
        y = data.of(name)
        probe = fit_probe(data.x[learned], y[learned])
        direction = probe.weight / probe.weight.norm().clamp_min(1e-300)
        main = main_features(data.codes[learned], y[learned])
        found = data.tested & y & probe.says(data.x)
        codes, x = data.codes[found].double(), data.x[found].double()
        silent = ~(codes[:, main] > 0).any(1)
        lean = columns.double() @ direction
        cosines = lean / columns.double().norm(dim=1).clamp_min(1e-300)
        carried = codes * lean  # (n, F) what each feature adds to the projection
        total = ((x - data.x[learned & ~y].double().mean(0)) @ direction).clamp_min(1e-300)
        most = carried.max(1) if len(carried) else None
        absorbed = 0
        if most is not None:
            absorbed = int(
                (silent & (cosines[most.indices] >= LEAST_COSINE) & (most.values >= LEAST_SHARE * total)).sum()
            )
        rows.append({"class": name, "accuracy": accuracy(probe.says(data.x[data.tested]), y[data.tested]), "main_features": main,
                     "found": int(found.sum()), "silent": int(silent.sum()), "absorbed": absorbed})  # fmt: skip
    known = [row for row in rows if row["accuracy"] >= LEAST_ACCURACY]
    found_all = sum(row["found"] for row in known)
    return {
        "classes": len(rows), "known": len(known), "found": found_all,
        "accuracy": sum(row["accuracy"] for row in rows) / len(rows) if rows else None,
        "silent": sum(row["silent"] for row in known) / found_all if found_all else None,
        "absorbed": sum(row["absorbed"] for row in known) / found_all if found_all else None,
        "letters": rows,
    }  # fmt: skip
