"""Narrower students of a model, distilled by KL: what a smaller width loses when somebody really trains it.

As in the code of arXiv 2604.04037 (Sarkar and Deka): as many layers as the teacher, KL of the softened predictions at temperature 2
(times 4, by batches), AdamW with betas 0.9, 0.95 and weight decay 0.01, warm-up and a cosine to 0; a student's loss is the mean over the last tenth of its
evaluations. Ours: pre-norm blocks with learned positions and GELU whatever the teacher is; every evaluation is KL(teacher ‖ student)
at temperature 1 in nats per token, on the same held-out windows. A trained student's loss is an upper bound of what its width must
lose: with it stands by how much it fell over the last half of the training, for a cosine makes every end look flat. Of the widths, the
teacher's own shows what is not for want of width.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from golf.models.corpus import Windows
from golf.models.source import Ids, Source
from golf.sae.metrics import divergence
from golf.sae.streams import HeldOut
from golf.sae.text import sha256_of_ids

FORMAT = "golf-sae-students/1"
STUDENTS_NAME = "students.json"
UNFINISHED_NAME = "students_unfinished.json"  # while some of the widths are still to be trained
TEMPERATURE = 2.0
EVALUATIONS = 40  # in a training, evenly
EVALUATED_TOKENS = 4096


@dataclass(frozen=True)
class Distillation:
    """How students are trained; the published runs have 30,000 steps of 32 x 512 tokens at 3e-4."""

    tokens: int = 1_000_000
    batch_tokens: int = 4096
    lr: float = 1e-3
    warmup: float = 0.05  # share of the steps
    seed: int = 1337

    @property
    def steps(self) -> int:
        return max(self.tokens // self.batch_tokens, 1)


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        B, T, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Student(nn.Module):  # type: ignore[misc]
    """ids (B, T ≤ seq_len) -> logits (B, T, V); the head is tied to the embedding."""

    def __init__(self, vocab_size: int, width: int, layers: int, seq_len: int) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocab_size, width), nn.Embedding(seq_len, width)
        heads = next(count for count in range(max(width // 32, 1), 0, -1) if width % count == 0)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for block in self.blocks:  # as GPT-2: the stream's variance does not grow with the layers
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.embedding.weight.T


def train_student(
    source: Source,
    tokens: Ids,
    width: int,
    text: HeldOut,
    choices: Distillation,
    on_evaluation: Callable[[int, float], None] = lambda step, nats: None,
) -> dict[str, Any]:
    """Distil one student of `width` dimensions from `source` on training ids (N,), and measure it on `text`.

    Returns its row: width, parameters, nats (KL, the mean over the last tenth of the evaluations), fell (the share of its loss that went
    over the last half of the training; None of a single step) and the evaluations (step, nats).
    """
    seq_len = text.ids.shape[1] - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(choices.seed)
        student = Student(source.vocab_size, width, source.num_layers, seq_len).to(source.device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=choices.lr, betas=(0.9, 0.95), weight_decay=0.01)
    windows = Windows(tokens, seq_len, choices.seed)
    rows, warm = max(choices.batch_tokens // seq_len, 1), max(int(choices.warmup * choices.steps), 1)
    evaluated: list[tuple[int, float]] = []
    for step in range(1, choices.steps + 1):
        ids = torch.from_numpy(windows.next(rows)).to(source.device)
        wanted = source.logits(ids).float()
        loss = _softened(wanted, student(ids))
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        share = (step - warm) / max(choices.steps - warm, 1)
        for group in optimizer.param_groups:
            group["lr"] = choices.lr * (step / warm if step <= warm else 0.5 * (1 + math.cos(math.pi * share)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step == choices.steps or step % max(choices.steps // EVALUATIONS, 1) == 0:
            evaluated.append((step, distance(source, student, text)))
            on_evaluation(step, evaluated[-1][1])
    last = [nats for _, nats in evaluated[-max(len(evaluated) // 10, 1) :]]
    nats = math.fsum(last) / len(last)
    half = next((nats for step, nats in evaluated if 2 * step >= choices.steps and step < choices.steps), None)
    fell = 1 - evaluated[-1][1] / half if half else None
    parameters = sum(weight.numel() for weight in student.parameters())
    return {"d_S": width, "parameters": parameters, "nats": nats, "fell": fell, "evaluations": evaluated}


def _softened(wanted: Tensor, given: Tensor) -> Tensor:
    """KL of the predictions at TEMPERATURE, times its square, in nats per token: (B, T, V) logits of teacher and student."""
    teacher, student = (logits.flatten(0, 1) / TEMPERATURE for logits in (wanted, given.float()))
    loss = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)
    return loss * TEMPERATURE**2


@torch.no_grad()  # type: ignore[untyped-decorator]
def distance(source: Source, student: nn.Module, text: HeldOut) -> float:
    """KL(teacher ‖ student) in nats per token on the first EVALUATED_TOKENS of the held-out text."""
    seq_len = text.ids.shape[1] - 1
    windows = text.ids[: max(EVALUATED_TOKENS // seq_len, 1), :-1]
    total = 0.0
    for batch in windows.split(max(2048 // seq_len, 1)):
        total += float(divergence(source.logits(batch), student(batch.to(source.device))).double().sum())
    return total / int(windows.numel())


def distil(
    source: Source,
    tokens: Ids,
    widths: Sequence[int],
    text: HeldOut,
    choices: Distillation,
    tell: Callable[[str], None] = lambda line: None,
    *,
    before: Mapping[str, Any] | None = None,
    keep: Callable[[Mapping[str, Any]], None] = lambda made: None,
) -> dict[str, Any]:
    """Students of every width, and how they were made.

    before: what an earlier call made; its students of the same teacher, text, tokens and choices are taken over, for they would come out
    the same. keep: called after each student with all so far.
    """
    made: dict[str, Any] = {
        "format": FORMAT, "source": {"name": source.name, "spec": source.spec, **source.facts}, "held_out": text.facts(),
        "tokens_sha256": sha256_of_ids(tokens), "evaluated_tokens": min(EVALUATED_TOKENS, text.tokens),
        "distillation": asdict(choices), "steps": choices.steps, "students": [],
    }  # fmt: skip
    alike = before is not None and all(before.get(name) == value for name, value in made.items() if name != "students")
    known = {row["d_S"]: row for row in before["students"]} if before is not None and alike else {}
    for width in widths:
        row = known.get(width)
        again = ", trained before" if row else ""
        row = row or train_student(source, tokens, width, text, choices)
        fell = "" if row["fell"] is None else f"; {row['fell']:.0%} of it went over the last half"
        tell(f"student of width {width}: {row['nats']:.4f} nats from its teacher{fell}{again}")
        made["students"].append(row)
        keep(made)
    return made
