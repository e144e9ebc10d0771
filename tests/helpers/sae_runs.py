"""A small trained dictionary run on disk."""

import json
from pathlib import Path
from typing import Any

import torch
from sae_models import half_likely
from torch import nn

from golf.models.source import Source
from golf.sae.files import file_name, save_dictionary
from golf.sae.kinds import seeded

VOCABULARY, WIDTH, WINDOW = 32, 8, 16


class Tiny(nn.Module):
    """Embedding, two residual blocks over single positions, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(2))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(3 * x)


def tiny_source() -> Source:
    model = Tiny()

    with torch.no_grad():
        likely = model(torch.arange(VOCABULARY)[None])[0].argmax(-1).numpy()

    def tokens(split: str, data: Path | None = None, limit: int | None = None) -> Any:
        return half_likely(likely, 4001, len(split))[:limit]

    return Source(
        model, model.blocks, model, tokens, spec="tiny", name="tiny", vocab_size=VOCABULARY, seq_len=WINDOW,
        encode=lambda texts: [[ord(letter) % VOCABULARY for letter in text] for text in texts], prefix=(1,),
    )  # fmt: skip


def write_run(folder: Path, features: int = 24, snapshots: tuple[int, ...] = (1000, 2000, 3000, 4000)) -> Path:
    source = tiny_source()
    mean = source.residuals(torch.arange(VOCABULARY)[None], [0, 1])
    for layer in range(2):
        stats = []
        for place, tokens in enumerate(snapshots):
            sae = seeded(layer, WIDTH, features, "topk", 4 + place)
            with torch.no_grad():
                sae.b_pre.copy_(mean[layer].mean((0, 1)))
                sae.encoder.weight.copy_(sae.decoder.weight.T)
            stats.append({"tokens": tokens, "mse": 1 / (1 + place), "fvu": 0.5, "l0": 4.0 + place, "alive": features,
                          "dead": 0, "l1_coeff": 0.0, "lr": 1e-3})  # fmt: skip
            config = {"d_model": WIDTH, "d_sae": features, "arch": "topk", "k": 4 + place, "tokens_seen": tokens,
                      "source": "tiny", "l1_coeff": 0.0}  # fmt: skip
            label = "final" if tokens == snapshots[-1] else f"{tokens // 1000}K"
            save_dictionary(folder / file_name(layer, label), sae.state_dict(), config, stats)
        (folder / f"stats_layer{layer:02d}.json").write_text(json.dumps(stats))
    (folder / "config.json").write_text(json.dumps({"source": {"spec": "tiny"}, "settings": {"seq_len": WINDOW}}))
    return folder
