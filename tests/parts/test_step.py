"""A training step never makes the host wait for the device, and launches the products of its specification; benchmarks/step.py prints the tables."""

import pytest
import step
import torch
from device import Device, Literals
from step import evaluation_waits_of, expected, kernels_of, waits_of
from worlds import tiny

PLANTED = "loss_sum += loss.detach()"


def waited(act) -> list[str]:
    """What a call with a tensor on the device makes the host wait for."""
    device = Device(__file__)
    with device, Literals():
        x = torch.arange(6.0).view(2, 3).to(device.type, non_blocking=True)
        device.watching = True
        act(x)
    return [what.split(" in ")[0] for what in device.waits.elements()]


def test_what_makes_the_host_wait_is_noted_and_nothing_else():
    assert waited(lambda x: x.sum().item()) == ["a number is read"]
    assert waited(lambda x: 1 if x.sum() > 0 else 0) == ["a number is read"]
    assert waited(lambda x: float(x[0, 0]) + int(x[0, 1])) == ["a number is read"] * 2
    assert waited(torch.nonzero) == waited(lambda x: x[x > 2]) == ["a shape of data"]
    assert waited(lambda x: x.cpu()) == waited(lambda x: x.to("cpu")) == ["a copy from the device"]
    assert waited(lambda x: torch.ones(2).to(x.device)) == ["a copy to the device"]
    assert waited(lambda x: x.add_(torch.tensor(1.0, device=x.device))) == ["a copy to the device"]
    assert waited(lambda x: torch.ones(2).to(x.device, non_blocking=True)) == []
    assert waited(lambda x: x.add_(torch.full((), 1.0, device=x.device)).mul(2).softmax(-1).argmax()) == []
    with pytest.raises(RuntimeError, match="two devices"):
        waited(lambda x: x + torch.ones(2, 3))


def test_numbers_and_gradients_on_the_device_are_those_of_the_host():
    torch.manual_seed(0)
    model, x = torch.nn.Linear(3, 3), torch.randn(4, 3)
    model(x).square().sum().backward()
    wanted = model.weight.grad
    model.zero_grad()
    model.weight.tag = "kept"
    device = Device(__file__)
    with device:
        device.move(model)
        model(x.to(device.type)).square().sum().backward()
        assert model.weight.tag == "kept" and torch.equal(model.weight.grad.cpu(), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "pr2014"])
def test_no_training_step_waits_for_the_device(name, tmp_path, monkeypatch, tiny_data):
    waits, steps = waits_of(tiny(name), tmp_path / "run", monkeypatch, tiny_data)
    assert steps >= 3 and not waits


@pytest.mark.slow
def test_a_planted_wait_is_found_at_its_line(tmp_path, monkeypatch, tiny_data):
    compose = step.compose
    monkeypatch.setattr(step, "compose", lambda recipe: compose(recipe).replace(PLANTED, "loss_sum += loss.item()"))
    waits, steps = waits_of(tiny("baseline"), tmp_path / "run", monkeypatch, tiny_data)
    (line,) = waits
    assert "a number is read in take_step:" in line and waits[line] == steps
    script = (tmp_path / "run" / "train_gpt.py").read_text().splitlines()
    assert script[int(line.rsplit(":", 1)[1]) - 1].strip() == "loss_sum += loss.item()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reports"),
    [
        ("pr549", ("sliding.sliding", "doc_isolated.doc_isolated", "ttt_sgd.ttt_sgd", "ngram_tilt.ngram_tilt")),
        ("baseline", ("ngram_kneser_ney.ngram_kneser_ney",)),
        ("pr1855", ()),
        ("pr2135", ()),
    ],
)
def test_no_evaluator_waits_for_the_device_between_batches(name, reports, tmp_path, monkeypatch, tiny_data):
    recipe = tiny(name, **({"reports": reports} if reports else {}))
    found = evaluation_waits_of(recipe, tmp_path / "run", monkeypatch, tiny_data)
    assert len(found) == len(recipe.values["reports"])
    assert all(seen.batches >= 3 and not seen.between for seen in found.values())


@pytest.mark.slow
def test_a_wait_planted_into_an_evaluator_is_found_once_a_batch(tmp_path, monkeypatch, tiny_data):
    compose, line = step.compose, "self.sum += nats.sum()"
    monkeypatch.setattr(step, "compose", lambda recipe: compose(recipe).replace(line, "self.sum += nats.sum().item()"))
    (seen,) = evaluation_waits_of(tiny("baseline"), tmp_path / "run", monkeypatch, tiny_data).values()
    ((where, count),) = seen.between.items()
    assert "a number is read in add:" in where and count == seen.batches - 1 >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "pr1855"])
def test_a_step_launches_the_products_of_its_specification(name, tmp_path, monkeypatch, tiny_data):
    recipe = tiny(name)
    for loop, found in kernels_of(recipe, tmp_path / "run", monkeypatch, tiny_data).items():
        wanted = expected(recipe.values, loop=loop != "off")
        assert {key: found[key] for key in wanted} == wanted
