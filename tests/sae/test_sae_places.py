"""Places inside of blocks: read and replaced where they are, in every kind of model, several from one forward; transcoders."""

import pytest
import torch
from sae_models import placed_source, tiny_source

from golf.errors import GolfError
from golf.models.places import RESID, Site
from golf.sae.kinds import seeded
from golf.sae.measure import measure_losses, measure_quality
from golf.sae.streams import Place, held_out

PLACES = ("resid", "attn_out", "mlp_in", "mlp_out", "mlp_hidden")
IDS = torch.arange(32).view(4, 8)


def test_every_place_is_what_its_module_reads_or_gives_and_all_come_from_one_forward():
    source, passes = placed_source(), []
    source.model.embed.register_forward_hook(lambda *_: passes.append(1))
    found = source.streams(IDS, [Site(layer, place) for layer in range(2) for place in PLACES])
    assert len(passes) == 1 and source.widths == {**dict.fromkeys(PLACES, 8), "mlp_hidden": 16}
    x = source.model.embed(IDS)
    for layer, block in enumerate(source.model.blocks):
        attention = block.attn(x)[0]
        x = x + attention
        read = torch.nn.functional.rms_norm(x, x.shape[-1:])
        hidden = torch.relu(block.mlp.fc(read))
        given = block.mlp.proj(hidden)
        x = x + given
        for place, wanted in zip(PLACES, (x, attention, read, given, hidden), strict=True):
            assert torch.allclose(found[Site(layer, place)], wanted, atol=1e-6), (layer, place)


def test_a_block_that_runs_twice_has_two_layers_of_every_place():
    source = placed_source(runs=2)
    found = source.streams(IDS, [Site(layer, "mlp_out") for layer in range(4)])
    assert source.num_layers == 4 and len(found) == 4
    assert not torch.equal(found[Site(0, "mlp_out")], found[Site(2, "mlp_out")])


@pytest.mark.parametrize("place", PLACES)
def test_a_place_can_be_replaced_and_nothing_stays_behind(place):
    source = placed_source()
    clean = source.logits(IDS)
    assert torch.equal(source.logits(IDS, {Site(1, place): lambda x: x}), clean)
    assert torch.equal(source.logits(IDS, {Site(1, place): lambda x: None}), clean)
    assert not torch.allclose(source.logits(IDS, {Site(1, place): torch.zeros_like}), clean)
    assert torch.equal(source.logits(IDS), clean)
    assert torch.equal(
        source.logits(IDS, {0: torch.zeros_like}), source.logits(IDS, {Site(0, RESID): torch.zeros_like})
    )


def test_a_place_that_a_model_does_not_have_is_named():
    with pytest.raises(GolfError, match="tiny has no place `mlp_out` in every layer"):
        tiny_source().streams(IDS, [Site(0, "mlp_out")])


def test_a_transcoder_reads_one_place_and_fills_another():
    source, place = placed_source(), Place(Site(1, "mlp_in"), Site(1, "mlp_out"))
    sae = seeded(3, 8, 24, "topk", 4, out_dim=8).eval()
    found = source.streams(IDS, [place.reads])[place.reads]
    wanted = source.logits(IDS, {place.rebuilds: lambda _: sae.decode(sae.encode(found))})
    after = source.logits(IDS, {place.rebuilds: lambda _: sae.decode(sae.encode(found))}, source.traced(IDS, ()))
    assert torch.equal(after, wanted)

    class Copy:  # the MLP itself, as a dictionary that loses nothing
        def encode(self, x):
            return torch.relu(source.model.blocks[1].mlp.fc(x))

        def decode(self, z):
            return source.model.blocks[1].mlp.proj(z)

    text = held_out(source, 800)
    quality = measure_quality(source, place, {"mlp": Copy()}, text)["mlp"].report()
    losses = measure_losses(source, place, Copy(), text, 400).report()
    assert quality["explained_variance"] == pytest.approx(1, abs=1e-9) and losses[
        "ce_difference_nats"
    ] == pytest.approx(0, abs=1e-6)


def test_the_places_of_a_gptneox_and_a_gpt2_are_found_by_their_names():
    transformers = pytest.importorskip("transformers")
    from golf.models.places import taps_of

    small = {"vocab_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8}
    for config, hidden in (
        (transformers.GPTNeoXConfig(**small, intermediate_size=24), "dense_4h_to_h"),
        (transformers.GPT2Config(vocab_size=32, n_layer=1, n_head=2, n_embd=8), "c_proj"),
        (transformers.LlamaConfig(**small, intermediate_size=24), "down_proj"),
    ):
        model = transformers.AutoModelForCausalLM.from_config(config)
        block = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))[0]
        taps = taps_of(block)
        assert set(taps) == {"attn_out", "mlp_in", "mlp_out", "mlp_hidden"}
        assert taps["mlp_hidden"].module is getattr(block.mlp, hidden) and taps["mlp_hidden"].reads
