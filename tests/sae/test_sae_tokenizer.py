"""A golf model reads text only through the tokenizer that it was trained with."""

from pathlib import Path

import pytest

from golf.data.hashes import remembered_sha256
from golf.errors import Exit, GolfError
from golf.models.corpus import golf_encode, golf_tokens
from golf.models.golf_script import tokenizer_of
from golf.run.store import open_store


@pytest.fixture
def named_data(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATA_PATH", str(tiny_data))
    monkeypatch.setenv("TOKENIZER_PATH", str(tiny_data / "tokenizer.model"))
    return tiny_data / "tokenizer.model"


def test_the_models_own_tokenizer_or_an_unknown_one_reads(named_data: Path) -> None:
    for trained_with in (remembered_sha256(named_data), None):
        assert golf_encode(384, trained_with)(["the country"]) == golf_encode(384)(["the country"])
        assert len(golf_tokens(384, trained_with)("val", limit=100)) == 100


def test_another_tokenizer_of_equal_size_is_refused(named_data: Path) -> None:
    for read in (lambda: golf_encode(384, "0" * 64)(["a"]), lambda: golf_tokens(384, "0" * 64)("val")):
        with pytest.raises(
            GolfError, match=r"is another tokenizer \([0-9a-f]{12}\) than the model was trained with"
        ) as caught:
            read()
        assert caught.value.code == Exit.REFUSED


def test_the_store_knows_which_tokenizer_a_run_was_trained_with(tmp_path: Path) -> None:
    seed = tmp_path / "submissions/mine/runs/0123456789ab/seed_7"
    seed.mkdir(parents=True)
    assert tokenizer_of(seed / "float.golf") is None  # nothing was ever run here
    with open_store(tmp_path) as store:
        store.start(
            folder=seed, submission="mine", set_id="0123456789ab", seed=7, script_sha256="a" * 64, recipe="{}",
            track="local", device="cpu", world_size=1, tokenizer_sha256="b" * 64,
        )  # fmt: skip
    assert tokenizer_of(seed / "float.golf") == "b" * 64
    assert tokenizer_of(seed.parent / "seed_8" / "float.golf") is None
