"""The side-car: read where it belongs, refused where it does not, and never replaced by the look-up table."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from golf.data import caseops
from golf.data.bounded import bounded, first_documents
from golf.data.factbook import load_documents
from golf.data.fetch import CASEOPS_REPO, fetch_files, plan_files
from golf.data.make import Settings, make_dataset
from golf.data.shards import read_shard, read_split, write_shard
from golf.data.side_car import check_side_car, has_side_car, read_side_car
from golf.data.source import CASEOPS_VAL_TOKENS, check_source, find_tokenizer, resolve_data
from golf.data.tokenizer import load_tokenizer, train_tokenizer
from golf.errors import Exit, GolfError
from golf.files import sha256_of_file

TEXTS = [line for document in load_documents()[:10] for line in document.lines][:260]
SUFFIX = caseops.NAME


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose `data` holds a CaseOps data set in the published layout, vocabulary 384."""
    root = tmp_path_factory.mktemp("project")
    tokenizer = root / "data" / "tokenizers" / f"fineweb_384_bpe_{SUFFIX}.model"
    tokenizer.parent.mkdir(parents=True)
    tokenizer.write_bytes(train_tokenizer(map(caseops.encode, TEXTS), 384, caseops.MARKERS))
    settings = Settings({}, sha256_of_file(tokenizer), "caseops", 60, 4000)
    folder = root / "data" / "datasets" / f"fineweb10B_sp384_{SUFFIX}"
    make_dataset(folder, lambda start: iter(TEXTS[start:]), tokenizer, settings)
    return root


@pytest.fixture
def project(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("DATA_PATH", "TOKENIZER_PATH"):
        monkeypatch.delenv(name, raising=False)
    return Path(shutil.copytree(built, tmp_path / "project"))


def dataset(project: Path) -> Path:
    return project / "data" / "datasets" / f"fineweb10B_sp384_{SUFFIX}"


def test_a_recipe_that_counts_by_a_side_car_finds_the_published_layout(project: Path) -> None:
    found = resolve_data(384, root=project, side_car=True)
    assert (found.data_path, found.side_car) == (dataset(project).resolve(), True)
    assert found.tokenizer_path.name == f"fineweb_384_bpe_{SUFFIX}.model"
    assert find_tokenizer(384, dataset(project), project) == found.tokenizer_path


def test_the_small_twin_has_the_side_car_of_its_first_documents(project: Path) -> None:
    found = resolve_data(384, root=project, side_car=True)
    twin = bounded(found, 3000)
    tokens, counts = read_split(twin.data_path, "val"), read_side_car(twin.data_path)
    assert 2000 < len(tokens) == len(counts) <= 3000
    whole = read_split(found.data_path, "val")
    places = first_documents(whole, 3000)
    assert np.array_equal(tokens, whole[places]) and np.array_equal(counts, read_side_car(found.data_path)[places])
    assert check_source(384, twin.data_path, twin.tokenizer_path).side_car


def test_without_its_side_car_nothing_is_scored(project: Path) -> None:
    folder = dataset(project)
    for path in folder.glob("*bytes*"):
        path.unlink()
    assert not has_side_car(folder)
    tokenizer = next((project / "data/tokenizers").iterdir())
    for wanted in (True, False, None):
        with pytest.raises(GolfError, match="side-car") as fault:
            resolve_data(384, folder, tokenizer, project, side_car=wanted)
        assert fault.value.code == Exit.REFUSED


def test_a_recipe_with_the_look_up_table_is_refused_on_text_after_caseops(project: Path) -> None:
    with pytest.raises(GolfError, match="would count its bytes by the look-up table, wrongly"):
        resolve_data(384, dataset(project), root=project, side_car=False)
    assert resolve_data(384, dataset(project), root=project, side_car=None).side_car


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda counts, ids: counts[:-1], "not its side-car"),
        (lambda counts, ids: np.roll(counts, 1), "gives bytes to the start of a document"),
        (lambda counts, ids: np.where(ids == 1, 0, np.roll(counts, 1)), "is not of these tokens"),
        (lambda counts, ids: np.where(ids == 1, 0, counts + 1), "is not of these tokens"),
        (lambda counts, ids: counts * 2, "is not of these tokens"),
    ],
    ids=["shorter", "shifted", "shifted, BOS kept", "one more each", "doubled"],
)
def test_a_side_car_of_other_tokens_is_refused(project: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    path = dataset(project) / "fineweb_val_bytes_000000.bin"
    ids = read_shard(dataset(project) / "fineweb_val_000000.bin")
    write_shard(path, change(read_shard(path).astype(int), ids))
    with pytest.raises(GolfError, match=said):
        resolve_data(384, root=project, side_car=True)


def test_a_missing_shard_of_the_side_car_is_refused(project: Path) -> None:
    assert len(list(dataset(project).glob("fineweb_val_bytes_*"))) > 1
    max(dataset(project).glob("fineweb_val_bytes_*")).unlink()
    with pytest.raises(GolfError, match="validation shards and"):
        read_side_car(dataset(project))


def test_a_side_car_of_the_text_before_folding_is_this_ones(project: Path) -> None:
    path = dataset(project) / "fineweb_val_bytes_000000.bin"
    counts = read_shard(path).astype(int)
    folded = np.flatnonzero(counts)[::40]
    counts[folded] += 2
    write_shard(path, counts)
    sp = load_tokenizer(next((project / "data/tokenizers").iterdir()))
    assert check_side_car(sp, dataset(project)) == int(read_side_car(dataset(project)).sum())


def test_the_published_set_is_fetched_with_its_side_car(project: Path, tmp_path: Path) -> None:
    items = plan_files(tmp_path / "new", 384, 2, transform="caseops")
    name = f"fineweb10B_sp384_{SUFFIX}"
    assert [item.remote for item in items] == [
        f"datasets/tokenizers/fineweb_384_bpe_{SUFFIX}.model",
        f"datasets/datasets/{name}/fineweb_val_000000.bin",
        f"datasets/datasets/{name}/fineweb_val_bytes_000000.bin",
        f"datasets/datasets/{name}/fineweb_train_000000.bin",
        f"datasets/datasets/{name}/fineweb_train_000001.bin",
    ]

    def download(repo: str, remote: str, folder: Path) -> Path:
        assert repo == CASEOPS_REPO
        arrived = folder / remote
        arrived.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(project / "data" / remote.removeprefix("datasets/"), arrived))

    for item in items:
        if item.expected_bytes:
            object.__setattr__(item, "expected_bytes", 1)  # the disk of a test machine
    fetch_files(items, 384, CASEOPS_REPO, download=download)
    assert all(item.present for item in plan_files(tmp_path / "new", 384, 2, transform="caseops"))
    sizes = {item.remote: item.expected_bytes for item in plan_files(tmp_path, 8192, 1, transform="caseops")}
    assert {size for name, size in sizes.items() if "_val_" in name} == {1024 + 2 * CASEOPS_VAL_TOKENS}


def test_official_data_after_caseops_is_told_by_tokens_and_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from golf.data import source

    found = resolve_data(384, root=project, side_car=True)
    counted = int(read_side_car(found.data_path).sum())
    monkeypatch.setattr(source, "CANONICAL_VAL_BYTES", (counted - 5, counted + 5))
    assert resolve_data(384, root=project, side_car=True).track == "10min_16mb"
    monkeypatch.setattr(source, "CASEOPS_VOCABULARY", 384)
    assert resolve_data(384, root=project, side_car=True).track == "local"  # another number of tokens
    monkeypatch.setattr(source, "CASEOPS_VAL_TOKENS", found.val_tokens - 100)
    assert resolve_data(384, root=project, side_car=True).track == "10min_16mb"


def test_the_referee_counts_by_the_side_car_and_fails_one_that_is_wrong(project: Path) -> None:
    from golf.rules.findings import State
    from golf.rules.local_data import _lossless

    _lossless.cache_clear()
    found = _lossless(dataset(project), 384)
    assert found.state == State.PASS and "side-car" in found.evidence[0]
    path = dataset(project) / "fineweb_val_bytes_000000.bin"
    counts = read_shard(path).astype(int)
    counts[-400:] += counts[-400:] > 0  # beyond the documents that are looked at word by word
    write_shard(path, counts)
    _lossless.cache_clear()
    assert _lossless(dataset(project), 384).state == State.FAIL
    for path in dataset(project).glob("*bytes*"):
        path.unlink()
    (project / "data/tokenizers/x_384_bpe.model").write_bytes(
        next((project / "data/tokenizers").iterdir()).read_bytes()
    )
    _lossless.cache_clear()
    assert "no side-car counts their bytes" in _lossless(dataset(project), 384).message
