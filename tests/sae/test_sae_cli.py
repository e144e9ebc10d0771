"""`golf sae train` as a command: names, layers, what is said on the way, and Ctrl-C that saves."""

import json
import re
import signal

import pytest
from sae_models import tiny_source

from golf.cli.sae import export, train
from golf.errors import Exit, GolfError
from golf.models.specs import spec_of
from golf.sae.api import dictionaries_in, line_of, parse_layers, run_training
from golf.sae.train import Progress

CHOICES = {"tokens": 1024, "batch_tokens": 64, "buffer_tokens": 256, "expansion": 2, "target_l0": 4.0, "snapshots": "2"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("golf.sae.api.open_source", lambda spec, device, **_: tiny_source())
    return tmp_path


def test_a_run_gets_a_name_a_folder_and_says_what_it_takes(project):
    lines = []
    made = run_training("tiny", None, CHOICES, layers="1-2", tell=lines.append)
    assert made is not None and made.folder == project / "sae_runs" / "tiny-x2-relu"
    assert [path.name for path in dictionaries_in(made.folder)] == [
        "sae_layer01_510.pt", "sae_layer01_final.pt", "sae_layer02_510.pt", "sae_layer02_final.pt"
    ]  # fmt: skip
    assert lines[0] == "tiny: 2 of 3 layers, width 16, 32 features each (relu, L0 to 4)"
    last = next(line for line in reversed(lines) if "tok/s" in line)
    assert "dead" in last and "1,024 of 1,024 tokens" in last
    assert lines[-1] == "layers 1, 2: more than a quarter off the target of 4 active features: train longer"


def test_a_dry_run_writes_nothing(project):
    lines = []
    assert run_training("tiny", "mine", CHOICES, dry_run=True, tell=lines.append) is None
    assert "memory" in lines[-2] and not (project / "sae_runs").exists()
    assert re.fullmatch(
        r"about .+ on this machine at [0-9,]+ tokens/s \(a projection: .+\), [0-9,]+ MiB of dictionaries on disk",
        lines[-1],
    )


def test_text_that_is_read_more_than_once_is_said():
    lines = []
    run_training("tiny", None, CHOICES | {"tokens": 10_000}, dry_run=True, tell=lines.append)
    assert "the text has 4,000: 2.5 passes" in lines[1]


@pytest.mark.slow
def test_an_interrupt_saves_and_resume_ends_as_if_it_had_not_been(project):
    count = iter(range(10**6))

    def interrupt(line):
        if next(count) == 3:
            signal.raise_signal(signal.SIGINT)  # in this thread: another may get what `os.kill` sends, and late

    stopped = run_training("tiny", "a", CHOICES, tell=interrupt)
    assert stopped is not None and not stopped.finished and (stopped.folder / "state.pt").is_file()
    with pytest.raises(GolfError, match="holds a run already"):
        run_training("tiny", "a", CHOICES)
    with pytest.raises(GolfError, match="its settings has expansion 2, here it is 3"):
        run_training(None, "a", {"expansion": 3}, resume=True)
    run_training(None, "a", {}, resume=True)  # with the choices that it was begun with
    run_training("tiny", "b", CHOICES)
    for path in (project / "sae_runs" / "b").glob("*.pt"):
        assert path.read_bytes() == (project / "sae_runs" / "a" / path.name).read_bytes()


def test_the_command_prints_the_folder_and_export_what_it_wrote(project, capsys):
    train("mine", tokens="1K", batch_tokens="40", buffer_tokens="400", snapshots="1", json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["finished"] and said["folder"] == str(project / "sae_runs" / "mine")
    export(project / "sae_runs" / "mine", to="sparsify")
    assert len(capsys.readouterr().out.split()) == 3


def test_one_model_at_a_time_and_layers_that_exist():
    assert spec_of(None, None, False) == "golf:" and spec_of("mine", None, False) == "golf:mine"
    assert spec_of(None, None, True) == "glassllm:en"
    with pytest.raises(GolfError, match="--submission and --glassllm"):
        spec_of("mine", None, True)
    with pytest.raises(GolfError, match="neither a folder nor") as caught:
        spec_of(None, "EleutherAI/pythia-410m", False)
    assert caught.value.code == Exit.REFUSED
    assert parse_layers("all", 3) == [0, 1, 2] and parse_layers("0,2-4", 5) == [0, 2, 3, 4]
    for wrong in ("3", "x", "", "2-1"):
        with pytest.raises(GolfError):
            parse_layers(wrong, 3)


def test_a_progress_line_has_speed_time_left_and_dead_features():
    row = {"fvu": 0.25, "l0": 31.5, "dead": 3}
    line = line_of(Progress(1_000_000, 4_000_000, 5000.0, 600.0, {("", 0): row, ("", 1): row}))
    assert (
        line
        == "1,000,000 of 4,000,000 tokens  25 %  5,000 tok/s  10.0 min left  FVU 0.250  L0 31.5  dead 6 in 2 layers"
    )
