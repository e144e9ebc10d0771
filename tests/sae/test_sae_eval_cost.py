"""What an evaluation costs: a stream that is replaced changes what comes after it, and only that is run again."""

from pathlib import Path

import pytest
import torch
from sae_models import placed_source

from golf.models.places import Site
from golf.sae import evaluate as evaluate_module
from golf.sae.evaluate import Wishes, evaluate
from golf.sae.files import file_name, save_dictionary
from golf.sae.kinds import seeded
from golf.sae.kinds.relu import ReLU
from golf.sae.kinds.topk import TopK


def test_an_evaluation_runs_each_block_only_after_what_it_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost's shape in runs of blocks and coded tokens, 2 layers, 3 snapshots each; a sixteenth of 1,280 tokens for all but the last."""
    source, runs, coded = placed_source(), [0, 0], [0]
    for layer, block in enumerate(source.model.blocks):
        block.mlp.register_forward_hook(lambda *_, layer=layer: runs.__setitem__(layer, runs[layer] + 1))
    for layer in range(2):
        for label in ("1K", "2K", "final"):
            sae = seeded(layer, 8, 24, "topk", 4)
            sae.config |= {"tokens_seen": 3000 if label == "final" else int(label[0]) * 1000}
            save_dictionary(tmp_path / file_name(layer, label), sae.state_dict(), sae.config, [])
    monkeypatch.setattr(evaluate_module, "open_source", lambda spec, **_: source)
    before = TopK.before_selection
    monkeypatch.setattr(
        TopK,
        "before_selection",
        lambda self, x: coded.__setitem__(0, coded[0] + x.flatten(0, -2).shape[0]) or before(self, x),
    )
    found = dict(evaluate(tmp_path, Wishes(tokens=1280, source="placed")))
    widths = len(found[0]["truncations"])
    # one forward for all activations, one whole one each for the losses and for truncation; then only what follows the layer:
    # after layer 0 block 1 runs for the loss, for zero, for the whole dictionary and for every width; after layer 1 nothing does
    assert runs == [3, 3 + 3 + widths]
    assert found[1]["losses"]["ce_tokens"] == 160
    assert [row["tokens"] for row in found[1]["snapshots"]] == [80, 80, 1280]  # fmt: skip
    assert [row["tokens"] for row in found[1]["progress"]] == [80, 80, 80]
    a_layer = 1280 + 3 * 80 + 160 + 160  # the last on all, three on the first part, the losses, truncation
    assert coded[0] == 2 * (a_layer + 4)  # and a token each, by which the number of features is known


@pytest.mark.parametrize("place", [Site(0), Site(1), Site(1, "mlp_out"), Site(3, "mlp_hidden"), Site(2, "attn_out")])
def test_what_follows_a_replaced_stream_is_the_same_where_the_blocks_before_are_not_run_again(place: Site) -> None:
    source = placed_source(runs=2)  # every block runs twice: four layers
    ids = torch.randint(0, 40, (2, 8), generator=torch.Generator().manual_seed(1))
    trace = source.traced(ids, [place])
    assert torch.equal(trace.logits, source.logits(ids)) and len(trace.given) == 4
    assert torch.equal(trace.streams[place], source.streams(ids, [place])[place])
    whole = source.logits(ids, {place: lambda x: 0.5 * x})
    assert torch.equal(source.logits(ids, {place: lambda x: 0.5 * x}, trace), whole)
    assert torch.equal(source.logits(ids), trace.logits)  # the blocks are what they were
    assert not torch.equal(whole, trace.logits)


@pytest.mark.parametrize("kind", ["neox", "gpt2"])
def test_blocks_of_transformers_models_give_the_same_when_they_are_not_run_again(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    from golf.models.hugging_face import blocks_of
    from golf.models.source import Source

    torch.manual_seed(3)
    if kind == "neox":
        config = transformers.GPTNeoXConfig(
            vocab_size=60, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16,
        )  # fmt: skip
    else:
        config = transformers.GPT2Config(vocab_size=60, n_embd=16, n_layer=3, n_head=2, n_positions=16)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)

    def logits(ids: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids, use_cache=False).logits

    source = Source(
        model, blocks_of(model, 3, kind), logits, lambda *_: None, spec=kind, name=kind, vocab_size=60, seq_len=16
    )
    ids = torch.randint(0, 60, (2, 12), generator=torch.Generator().manual_seed(1))
    trace = source.traced(ids, ())
    for site in (Site(0), Site(1), Site(2), Site(1, "mlp_out")):
        swap = {site: lambda x: 0.5 * x}
        assert torch.equal(source.logits(ids, swap, trace), source.logits(ids, swap))
    assert torch.equal(source.logits(ids), trace.logits)


def test_codes_of_some_features_are_those_of_all() -> None:
    sae = seeded(2, 8, 24, "relu")
    assert isinstance(sae, ReLU)
    x, some = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 17, 5])
    assert torch.allclose(sae.encode_only(x, some), sae.encode(x)[:, some], atol=1e-6)
