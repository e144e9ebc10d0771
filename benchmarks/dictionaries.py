"""Planted dictionaries: how much of a known dictionary golf, SAELens and dictionary_learning find with the same batches, steps and rate.

    python benchmarks/dictionaries.py --seeds 3 > benchmarks/dictionaries.md

The other two are optional: without them only golf is measured. Features are random directions of norm 1, each in a token with
probability L0 / features at a strength drawn from U(0.5, 1.5). All contestants of a seed see the same batches in the same order and are
measured on the same held-out tokens. Peers have one setting each (`dictionaries_contestants.py`); for ReLU, JumpReLU and Gated, where a
penalty and not an L0 is chosen there, golf aims at the L0 that the peer ended with. Times are processor seconds of one thread, so a busy
machine changes them little; contestants take turns within a seed.
"""

import argparse
import statistics
from dataclasses import dataclass, replace

import torch
from dictionaries_contestants import (
    DECAY,
    PEERS,
    PENALISED,
    Coder,
    Contestant,
    Problem,
    dictionary_learning,
    golf,
    installed,
    saelens,
    versions,
)

from golf.sae.metrics import Quality

FOUND = 0.95  # a planted direction counts as found above this cosine


def planted(problem: Problem, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(directions (features, width), training tokens, held-out tokens)."""
    rng = torch.Generator().manual_seed(10_000 + seed)
    directions = torch.nn.functional.normalize(torch.randn(problem.features, problem.width, generator=rng), dim=-1)

    def tokens(count: int) -> torch.Tensor:
        entries = int(torch.poisson(torch.tensor(problem.l0 * count), generator=rng))
        rows = torch.randint(count, (entries,), generator=rng)
        strengths = 0.5 + torch.rand(entries, 1, generator=rng)
        which = directions[torch.randint(problem.features, (entries,), generator=rng)]
        return torch.zeros(count, problem.width).index_add_(0, rows, strengths * which)

    train, held_out = tokens(problem.steps * problem.batch), tokens(8192)
    scale = problem.width**0.5 / float(train[:32_768].norm(dim=-1).mean())  # as each library's own normalisation does
    return directions, train.mul_(scale), held_out.mul_(scale)


@dataclass(frozen=True)
class Score:
    """What a contestant reached."""

    mmcs: float
    found: float
    ev: float
    l0: float
    dead: float
    ms: float


def score(problem: Problem, directions: torch.Tensor, held_out: torch.Tensor, made: Coder, ms: float) -> Score:
    """Held-out numbers of a dictionary: (columns (F, d), encode, decode)."""
    columns, encode, decode = made
    with torch.no_grad():
        cosines = (torch.nn.functional.normalize(columns, dim=-1) @ directions.T).abs().max(dim=0).values
        quality = Quality(len(columns), problem.width)
        for part in held_out.split(1024):
            code = encode(part)
            quality.add(part, code, decode(code))
    told = quality.report()
    return Score(
        float(cosines.mean()), float((cosines > FOUND).float().mean()), told["explained_variance"], told["l0"],
        told["dead_share"], ms,
    )  # fmt: skip


def contest(
    problem: Problem,
    seeds: range,
    archs: list[str],
    penalties: tuple[float, ...],
    peers: list[str],
    l0_coefficient: float = 1.0,
) -> None:
    """Print a table per architecture."""
    for arch in archs:
        rows: dict[str, list[Score]] = {}
        for seed in seeds:
            directions, x, held_out = planted(problem, seed)

            def enter(name: str, contestant: Contestant) -> Score:
                made, ms = contestant(problem, x, seed)  # noqa: B023
                found = score(problem, directions, held_out, made, ms)  # noqa: B023
                rows.setdefault(name, []).append(found)  # noqa: B023
                return found

            if (
                arch == "jumprelu"
            ):  # golf aims at what each peer ended with; SAELens' way to a target L0 finds less than its penalty
                aims = problem.l0 * 1.6
                if "sae_lens" in peers:
                    found = enter("SAELens", saelens(arch, l0_coefficient=l0_coefficient, jumprelu_init_threshold=0.1))
                    enter("golf at the L0 of SAELens", golf(arch, target_l0=found.l0))
                if "dictionary_learning" in peers:
                    found = enter("dictionary_learning", dictionary_learning(arch, target_l0=aims))
                    enter("golf at the L0 of dictionary_learning", golf(arch, target_l0=found.l0))
                if not peers:
                    enter("golf", golf(arch, target_l0=aims))
                continue
            if arch not in PENALISED:
                enter("golf", golf(arch))
                if "sae_lens" in peers:
                    enter("SAELens", saelens(arch))
                if "dictionary_learning" in peers:
                    enter("dictionary_learning", dictionary_learning(arch))
                continue
            for penalty in penalties:
                there = [problem.l0 * 1.6] if not peers else []
                if "sae_lens" in peers:
                    there.append(enter(f"SAELens, λ {penalty:g}", saelens(arch, l1_coefficient=penalty)).l0)
                    enter(f"golf at the L0 of SAELens at λ {penalty:g}", golf(arch, target_l0=there[-1]))
                if arch == "gated":  # penalties mean the same here as there
                    enter(f"golf, λ {penalty:g}", golf(arch, l1=penalty, l1_form="saelens"))
                if "dictionary_learning" in peers:
                    there.append(
                        enter(
                            f"dictionary_learning, λ {penalty:g}",
                            dictionary_learning(arch, april=arch == "relu", l1_penalty=penalty),
                        ).l0
                    )
                    enter(f"golf at the L0 of dictionary_learning at λ {penalty:g}", golf(arch, target_l0=there[-1]))
                if not peers:
                    enter("golf", golf(arch, target_l0=there[0]))
        print(
            f"\n## {arch}\n\n| who | MMCS (sd) | found > {FOUND} | EV (sd) | L0 | dead | ms a step |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for name, found in rows.items():
            print(f"| {name} | {_mean(found, 'mmcs', 4)} | {_mean(found, 'found', 3)} | {_mean(found, 'ev', 4)} | {_mean(found, 'l0', 2)} "
                  f"| {100 * statistics.mean(one.dead for one in found):.1f} % | {statistics.mean(one.ms for one in found):.2f} |", flush=True)  # fmt: skip


def _mean(found: list[Score], field: str, digits: int) -> str:
    values = [getattr(one, field) for one in found]
    spread = f" ({statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    torch.set_num_threads(1)
    wishes = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wishes.add_argument("--seeds", type=int, default=3)
    wishes.add_argument("--first-seed", type=int, default=0)
    wishes.add_argument("--archs", default="topk,batchtopk,relu")
    wishes.add_argument("--penalties", default="4")
    wishes.add_argument(
        "--peers", default=",".join(module for module, _ in PEERS), help="those of them that are installed"
    )
    wishes.add_argument("--l0-coefficient", type=float, default=1.0, help="SAELens' penalty of JumpReLU")
    for name in ("features", "width", "batch", "steps"):
        wishes.add_argument(f"--{name}", type=int, default=None)
    given = wishes.parse_args()
    changes = {
        name: value for name in ("features", "width", "batch", "steps") if (value := getattr(given, name)) is not None
    }
    problem = replace(Problem(), **changes)
    print("# Dictionaries that were planted, and who finds them\n")
    print(f"By `python benchmarks/dictionaries.py`: {problem.features} features in {problem.width} dimensions, mean L0 {problem.l0:g}, "
          f"{problem.steps:,} steps of {problem.batch} tokens, Adam at {problem.rate:g} with the last {DECAY:.0%} falling to 0, "
          f"{given.seeds} seeds; {versions()}. Means, in brackets the standard deviation over the "
          "seeds.")  # fmt: skip
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    penalties = tuple(float(one) for one in given.penalties.split(","))
    contest(
        problem,
        seeds,
        given.archs.split(","),
        penalties,
        [name for name in installed() if name in given.peers.split(",")],
        given.l0_coefficient,
    )


if __name__ == "__main__":
    main()
