"""Bytes by the side-car in what ships: read, summed, refused without it; and CaseOps, kernels and tilt in one composed run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import execute, run_folder, run_generated, run_library, tiny

from golf.compose import compose
from golf.data import caseops
from golf.data.factbook import load_documents
from golf.data.make import Settings, make_dataset
from golf.data.shards import read_split
from golf.data.side_car import read_side_car
from golf.data.tokenizer import train_tokenizer
from golf.files import sha256_of_file
from golf.recipe import changed

LATE = {
    "target_bytes": "side_car.side_car_bytes",
    "activation": "leaky_relu2.leaky_relu2",
    "training_mlp": "fused_mlp.fused_mlp",
    "training_nats": "fused_cross_entropy.fused_cross_entropy",
    "reports": ("plain", "ttt_lora.ttt_lora"),
    "adapters": True,
    "lora_targets": ("mlp", "head"),
    "lora_rank": 2,
    "tilt": "token_tilt.TokenTilt",
    "tilt_order": 4,
    "two_log_probs": "dual_gather.dual_gather",
}


@pytest.fixture(scope="module")
def caseops_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CaseOps data set of 384 pieces as `tiny_data` is one of plain text: shards, side-car and tokenizer in one folder."""
    folder = tmp_path_factory.mktemp("caseops")
    texts = [line for document in load_documents()[:12] for line in document.lines][:220]
    tokenizer = folder / "tokenizer.model"
    tokenizer.write_bytes(train_tokenizer(map(caseops.encode, texts), 384, caseops.MARKERS))
    settings = Settings({}, sha256_of_file(tokenizer), "caseops", 3, 4000)
    make_dataset(folder, lambda start: iter(texts[start:]), tokenizer, settings)
    return folder


def test_the_bytes_of_a_target_are_the_side_cars(caseops_data, tmp_path, monkeypatch):
    recipe = changed(tiny("baseline"), {"target_bytes": "side_car.side_car_bytes"})
    with run_folder(tmp_path, monkeypatch, caseops_data, (), 1):
        module = execute(compose(recipe), tmp_path / "train_gpt.py")
        stream = module.Stream(module.Env())
    assert np.array_equal(stream.tokens.numpy(), read_split(caseops_data, "val"))
    assert np.array_equal(stream.target_bytes.numpy(), read_side_car(caseops_data)[1:])
    assert (
        int(stream.target_bytes.sum())
        == json.loads((caseops_data / "manifest.json").read_text())["val"]["counted_bytes"]
    )


def test_a_script_refuses_shards_without_their_side_car_and_caseops_by_the_table(
    caseops_data, tiny_data, tmp_path, monkeypatch
):
    counting = {"side_car.side_car_bytes": tiny_data, "table_bytes": caseops_data}
    said = {
        "side_car.side_car_bytes": (FileNotFoundError, "no fineweb_val_bytes"),
        "table_bytes": (AssertionError, "CaseOps text"),
    }
    for way, data in counting.items():
        module = execute(compose(changed(tiny("baseline"), {"target_bytes": way})), tmp_path / "train_gpt.py")
        with run_folder(tmp_path, monkeypatch, data, (), 1), pytest.raises(said[way][0], match=said[way][1]):
            module.Stream(module.Env())


def test_a_side_car_of_another_split_is_refused(caseops_data, tmp_path, monkeypatch):
    from golf.parts.techniques.side_car import side_car_bytes

    env = type("Env", (), {"data_path": str(caseops_data)})
    tokens = torch.from_numpy(read_split(caseops_data, "val").astype(np.int64))
    assert len(side_car_bytes(None, env, tokens)) == len(tokens) - 1
    with pytest.raises(ValueError, match="not of these shards"):
        side_car_bytes(None, env, tokens[:-1])


@pytest.mark.slow
def test_caseops_kernels_and_tilt_compose_to_what_the_library_computes(caseops_data, tmp_path, monkeypatch):
    recipe = changed(tiny("baseline", iterations=2), LATE)
    results = []
    for way, run in (("library", run_library), ("generated", run_generated)):
        run(recipe, tmp_path / way, monkeypatch, caseops_data)
        line = (tmp_path / way / "logs" / "test.txt").read_text().splitlines()[-1]
        results.append(json.loads(line.removeprefix("golf_result "))["reports"])
    keys = ("name", "val_loss", "val_bpb", "tokens", "bytes")
    ours, theirs = ([[report[key] for key in keys] for report in reports] for reports in results)
    assert ours == theirs and [report[0] for report in ours] == ["roundtrip", "ttt_lora"]
    assert ours[0][4] == ours[1][4] and ours[0][3] == ours[1][3]
    assert (tmp_path / "library" / "model.golf").read_bytes() == (tmp_path / "generated" / "model.golf").read_bytes()
