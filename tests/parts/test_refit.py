"""`refit`: an artifact over the cap is quantized once more in wider steps, one below it stays as it is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from worlds import run_generated, tiny

from golf.compose import compose
from golf.compose.pack import pack
from golf.errors import GolfError
from golf.parts.quant import bytes_over, quantize
from golf.parts.techniques import widen_to_fit
from golf.preflight import preflight
from golf.recipe import changed, load_recipe, shipped_recipes
from golf.recipe.namespace import namespace

REFITS = {"refit": "widen_to_fit.widen_to_fit"}


def toy() -> tuple[list[Any], dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(5)
    weights = {name: torch.randn(256, 128, generator=rng) for name in ("attn", "mlp")}
    return [(name, None, SimpleNamespace(role=name)) for name in weights], weights


@pytest.mark.parametrize("share", [1.01, 0.99, 0.9, 0.7])
def test_steps_are_wider_until_it_fits_and_never_where_it_does(share: float) -> None:
    tagged, weights = toy()
    recipe = changed(
        load_recipe("baseline"),
        {
            "attn_quantizer": "sdclip.sdclip_rtn",
            "mlp_quantizer": "sdclip.sdclip_rtn",
            "attn_bits": 6,
            "mlp_bits": 6,
            "coder": "rans_context.ContextRansCoder",
            "keep_float_numel": 16,
            **REFITS,
            "packed_code_bytes": 1,
            "spare_bytes": 40,
        },
    )
    env, lines = SimpleNamespace(rank=0, world_size=1, distributed=False, device="cpu"), []
    before = quantize(namespace(recipe), tagged, weights, {})
    whole_bytes = bytes_over(namespace(recipe), before) + recipe.values["fit_bytes"]
    h = namespace(changed(recipe, {"fit_bytes": int(share * whole_bytes)}))
    after = widen_to_fit.widen_to_fit(h, env, lines.append, tagged, weights, {}, before)
    if share > 1:
        assert after is before and not lines
        return
    spared = -bytes_over(h, after)
    assert 0 <= spared < 0.01 * whole_bytes  # and no wider than that
    assert 1 <= len(lines) <= 3 and all("quantized again in steps wider by" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("over", [0.02, 0.0])
def test_the_composed_row_fits_and_says_what_it_did(
    over: float, tiny_data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    recipe = tiny("pr1945")
    run_generated(changed(recipe, {"refit": ""}), tmp_path / "plain", monkeypatch, tiny_data)
    plain = (tmp_path / "plain/model.golf").read_bytes()
    capsys.readouterr()
    if not over:
        run_generated(recipe, tmp_path / "same", monkeypatch, tiny_data)
        assert (tmp_path / "same/model.golf").read_bytes() == plain
        assert "over the cap" not in capsys.readouterr().out
        return
    fit_bytes = 24_000 + int((1 - over) * len(plain))
    values = {"packed_code_bytes": 24_000, "fit_bytes": fit_bytes, "spare_bytes": 60}
    run_generated(changed(recipe, values), tmp_path / "fits", monkeypatch, tiny_data)
    printed = capsys.readouterr().out
    assert "artifact over the cap by" in printed
    assert 0.9 * len(plain) < (tmp_path / "fits/model.golf").stat().st_size <= fit_bytes - 24_000


def test_a_quantizer_that_reads_no_bits_is_refused() -> None:
    with pytest.raises(GolfError, match=r"cannot make .* smaller"):
        preflight(changed(load_recipe("pr641"), REFITS))


@pytest.mark.slow
def test_every_row_that_may_be_over_the_cap_has_it() -> None:
    rows = {
        name: load_recipe(path)
        for name, path in shipped_recipes().items()
        if name in ("pr1945", "pr1953", "pr2014", "pr2135")
    }
    assert {name for name, recipe in rows.items() if recipe.values["refit"]} == {"pr1945", "pr1953", "pr2014"}
    assert all(len(pack(compose(recipe))) <= recipe.values["packed_code_bytes"] for recipe in rows.values())
