"""Language models as sources: the stream is the model's own, replacing it by itself changes nothing, and what is not there is said at once."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sae_models import tiny_source

from golf.compose import compose, rescale
from golf.errors import Exit, GolfError
from golf.models.corpus import Windows, text_tokens
from golf.models.open import open_source
from golf.models.source import Source
from golf.parts.model import GPT
from golf.recipe import changed, load_recipe, shipped_recipes, smoke_recipe, smoke_sizes
from golf.recipe.namespace import namespace
from golf.run.definitions import load_script


@pytest.fixture(scope="module", params=["baseline", "pr1809"])
def checkpoint(request, tmp_path_factory):
    """A run's folder of a small twin with its first weights: (folder, the script as a module). pr1809 runs its core three times."""
    folder = tmp_path_factory.mktemp(request.param) / "seed_7"
    folder.mkdir()
    recipe = load_recipe(request.param)
    script = folder.parent / "train_gpt.py"
    script.write_text(rescale(compose(recipe), smoke_sizes(recipe) | {"model_dim": 32}))
    module = load_script(script)
    model = module.build(module.Env())
    with torch.no_grad():
        for number, param in enumerate(model.parameters()):
            param.add_(0.02 * torch.randn(param.shape, generator=torch.Generator().manual_seed(number)))
    weights = {name: param for name, param, _ in module.collect(model)}
    module.write_container(str(folder / "float.golf"), weights, {}, module.RawCoder)
    return folder, module, model


def ids_for(source, rows=2, length=24):
    return torch.from_numpy(np.random.default_rng(0).integers(0, source.vocab_size, (rows, length + 1)))


def test_a_golf_checkpoint_is_read_by_the_script_that_made_it(checkpoint):
    folder, module, model = checkpoint
    source = open_source(f"golf:{folder / 'float.golf'}", "cpu")
    ids = ids_for(source)
    with torch.no_grad():
        assert torch.equal(source.nats(ids), model(ids[:, :-1], ids[:, 1:]))
    assert (source.model_dim, source.seq_len, source.vocab_size) == (32, 128, module.h.vocab_size)
    assert open_source(str(folder), "cpu").spec == source.spec == open_source(str(folder.parent), "cpu").spec


def test_every_run_of_a_block_is_a_layer_and_the_last_one_leads_to_the_head(checkpoint):
    folder, module, model = checkpoint
    source = open_source(str(folder), "cpu")
    assert source.num_layers == (17 if "pr1809" in module.h.name else 9)
    ids = ids_for(source)
    streams = source.residuals(ids[:, :-1], range(source.num_layers))
    assert all(stream.shape == (2, 24, 32) and stream.dtype == torch.float32 for stream in streams.values())
    with torch.no_grad():
        x = module.norm(streams[source.num_layers - 1])
        logits = (
            model.h.softcap * torch.tanh(x @ model.tok_emb.weight.T / model.h.softcap) if hasattr(model, "h") else None
        )
        logits = (
            module.h.softcap * torch.tanh(x @ model.tok_emb.weight.T / module.h.softcap) if logits is None else logits
        )
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(2, 24)
    assert torch.allclose(nats, source.nats(ids), rtol=1e-5, atol=1e-5)


def test_replacing_a_layer_by_itself_changes_nothing_and_by_another_does(checkpoint):
    source = open_source(str(checkpoint[0]), "cpu")
    ids = ids_for(source)
    clean = source.nats(ids)
    assert torch.equal(clean, source.nats(ids, {layer: lambda x: x for layer in range(source.num_layers)}))
    for layer in range(source.num_layers):
        assert not torch.equal(clean, source.nats(ids, {layer: torch.zeros_like})), layer
    assert torch.equal(clean, source.nats(ids)), "a hook stayed behind"


def test_one_forward_feeds_all_layers_and_stops_when_they_have_been_seen():
    source = tiny_source()
    ran = []
    for number, module in enumerate((*source.blocks, source.model.head)):
        module.register_forward_hook(lambda *_, number=number: ran.append(number))
    found = source.residuals(torch.zeros(2, 8, dtype=torch.long), [0, 1])
    assert set(found) == {0, 1} and ran == [0, 1]
    with pytest.raises(GolfError, match="no layer 3"):
        source.residuals(torch.zeros(2, 8, dtype=torch.long), [3])


def test_a_folder_without_weights_says_how_to_get_them(tmp_path):
    with pytest.raises(GolfError, match="no trained weights") as caught:
        open_source(str(tmp_path), "cpu")
    assert caught.value.code == Exit.REFUSED and "golf run" in str(caught.value.hint)
    (tmp_path / "float.golf").write_bytes(b"GOLF")
    with pytest.raises(GolfError, match=r"no train_gpt\.py beside it"):
        open_source(str(tmp_path), "cpu")
    (tmp_path / "train_gpt.py").write_text("print('mine')\n")
    with pytest.raises(GolfError, match="not composed by golf"):
        open_source(str(tmp_path), "cpu")


def test_our_forward_over_glassllms_weights_gives_its_logits():
    glassllm = pytest.importorskip("glassllm")
    source = open_source("glassllm", "cpu")
    assert (source.model_dim, source.num_layers, source.vocab_size) == (128, 4, 1024)
    theirs, tokenizer = glassllm.load_pretrained("en")
    ids = np.array(
        [tokenizer.encode("Alice was beginning to get very tired of sitting by her sister on the bank, and of having")]
    )
    wanted = theirs.forward(ids).data
    found = source._logits(torch.from_numpy(ids)).numpy()
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert float(source.nats(torch.from_numpy(ids)).mean()) < 4.5, "it knows these words"


@pytest.mark.slow
def test_a_hugging_face_folder_gives_its_own_hidden_states(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPTNeoXConfig(vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
                                        max_position_embeddings=64)  # fmt: skip
    torch.manual_seed(0)
    model = transformers.GPTNeoXForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    source = open_source(f"hf:{tmp_path}", "cpu")
    assert (source.model_dim, source.num_layers, source.seq_len) == (32, 3, 64)
    ids = ids_for(source)
    with torch.no_grad():
        theirs = model(ids[:, :-1], output_hidden_states=True, labels=None)
    found = source.residuals(ids[:, :-1], [0, 1])
    assert all(
        torch.equal(found[layer], theirs.hidden_states[layer + 1]) for layer in (0, 1)
    )  # the last one is normed there
    logits = torch.nn.functional.cross_entropy(theirs.logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    assert torch.equal(source.nats(ids).flatten(), logits)
    with pytest.raises(GolfError, match="no tokenizer"):
        source.tokens("train")


def test_a_model_that_is_not_here_is_refused_at_once_with_one_sentence(tmp_path):
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "golf", "sae", "train", "--hf", "EleutherAI/pythia-410m"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.REFUSED and time.monotonic() - begun < 10
    assert done.stderr.count("\n") == 2 and "neither a folder nor in the Hugging Face cache" in done.stderr
    assert "hf download EleutherAI/pythia-410m" in done.stderr


def test_windows_come_in_a_seeded_order_that_any_position_resumes():
    tokens = np.arange(100, dtype=np.uint16)
    whole = Windows(tokens, 8, seed=3).next(30)
    assert whole.shape == (30, 8) and (np.sort(whole[:12, 0]) == np.arange(0, 96, 8)).all()
    assert not (whole[:12] == whole[12:24]).all(), "another epoch, another order"
    parts = Windows(tokens, 8, seed=3)
    parts.next(7)
    assert (Windows(tokens, 8, seed=3, at=parts.at).next(23) == whole[7:]).all()
    with pytest.raises(GolfError, match="a window takes 101"):
        Windows(tokens, 101, seed=3)


def test_text_is_read_by_documents_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, seen = tmp_path / "text.jsonl", list[str]()
    path.write_text(
        "\n".join(json.dumps({"text": letter * count}) for letter, count in (("a", 60), ("b", 10), ("c", 50)))
    )

    def encode(texts):
        seen.extend(texts)
        return [[ord(letter) for letter in text] for text in texts]

    ids = text_tokens("letters", encode)("all", path)
    assert bytes(ids.astype(np.uint8)).decode() == "a" * 60 + "c" * 50
    assert len(text_tokens("letters", encode)("all", path)) == 110 and len(seen) == 2
    halves = [
        bytes(text_tokens("letters", encode)(split, path).astype(np.uint8)).decode() for split in ("train", "val")
    ]
    assert sorted(halves) == ["a" * 60, "c" * 50], "one of the two documents is held out"
    path.write_text("no json\n")
    with pytest.raises(GolfError, match=r"text\.jsonl, line 1"):
        text_tokens("letters", encode)("train", path)
    with pytest.raises(GolfError, match="no text file"):
        text_tokens("letters", encode)("train", tmp_path)


def test_a_stream_that_parts_into_lanes_has_layers_up_to_there():
    h = namespace(changed(smoke_recipe(load_recipe(shipped_recipes()["pr1530"])), {"vocab_size": 384, "model_dim": 32}))
    model = GPT(h)
    source = Source(model, model.blocks, model, None, spec="", name="lanes", vocab_size=384, seq_len=8)
    assert source.parted == [8, 9, 10] and source.num_layers == 17 - 3  # with the loop's passes
    ids = torch.arange(8).view(1, 8)
    assert set(source.residuals(ids, (7, 13))) == {7, 13}
    with pytest.raises(GolfError, match="no layer 14") as fault:
        source.residuals(ids, (14,))
    assert "blocks 8, 9, 10 run in lanes" in fault.value.hint
