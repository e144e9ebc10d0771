"""The late rows' settings: beside the tables of the specification, and beside what the public logs print."""

import re

import numpy as np
import pytest

from golf.artifact.predict import predict
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.recipe.namespace import namespace
from golf.rules.pack import load_pack
from golf.run.plan import CONTESTED, forbids

ROWS = ["pr1412", "pr1413", "pr1477", "pr1514", "pr1529", "pr1530", "pr1610", "pr1626", "pr1667", "pr1729", "pr1736", "pr1769",
        "pr1787", "pr1851", "pr1868", "pr1855", "pr1945", "pr1953", "pr2014", "pr2130", "pr2135"]  # fmt: skip
ALL = ("q", "k", "v", "o", "mlp", "head")
# rank, lr, weight decay, β2, chunk, longest context, documents a batch, kinds, α / rank, warm A
ADAPTERS = {
    **dict.fromkeys(["pr1530", "pr1610"], (96, 1e-4, 0.5, 0.999, 32, 2048, 64, ALL, 1.0, False)),
    **dict.fromkeys(
        ["pr1626", "pr1667", "pr1729", "pr1736", "pr1769"], (96, 1e-4, 0.5, 0.999, 48, 2048, 64, ALL, 1.0, False)
    ),
    **dict.fromkeys(["pr1787", "pr1851", "pr1868"], (96, 1e-4, 1.0, 0.999, 48, 2048, 64, ALL, 1.5, True)),
    **dict.fromkeys(["pr1855", "pr1945"], (80, 1e-4, 0.5, 0.99, 48, 2048, 64, ALL, 1.8, True)),
    "pr1953": (80, 7.5e-5, 0.5, 0.99, 48, 2560, 64, ("k", "o", "mlp", "head"), 1.8, True),
    "pr2014": (80, 7.5e-5, 0.5, 0.99, 48, 3072, 24, ("k", "o", "mlp", "head"), 1.8, True),
    **dict.fromkeys(
        ["pr2130", "pr2135"], (80, 8e-5, 2.0, 0.99, 48, 2560, 64, ("q", "v", "o", "mlp", "head"), 1.8, True)
    ),
}
# documents, phases, learning rate, passes
PHASES = {
    "pr1610": (2000, 1, 5e-3, 3),
    **dict.fromkeys(["pr1626", "pr1729", "pr1736", "pr1769", "pr1787", "pr1851", "pr1868"], (2000, 3, 1e-3, 1)),
    **dict.fromkeys(["pr1855", "pr1945", "pr1953"], (2500, 3, 1e-3, 1)),
    **dict.fromkeys(["pr2014", "pr2130", "pr2135"], (2500, 1, 1e-3, 1)),
}
# a public log's setting → ours
SETTINGS = {
    "adam_eps": "adam_eps", "adam_wd": "adam_wd", "attn_clip_sigmas": "attn_clip_sigmas", "beta1": "beta1", "beta2": "beta2",
    "ema_decay": "ema_decay", "embed_bits": "embed_bits", "embed_clip_sigmas": "embed_clip_sigmas", "embed_wd": "embed_wd",
    "enable_looping_at": "loop_from", "eval_seq_len": "eval_seq_len", "gptq_calibration_batches": "calibration_batches",
    "gptq_reserve_seconds": "reserve_seconds", "grad_clip_norm": "grad_clip_norm", "iterations": "iterations",
    "ln_scale": "ln_scale", "logit_softcap": "softcap", "loop_end": "loop_last", "loop_start": "loop_first",
    "lqer_asym_enabled": "lqer_asymmetric", "lqer_asym_group": "lqer_group", "lqer_rank": "lqer_rank", "lqer_top_k": "lqer_top_k",
    "lqer_factor_bits": "lqer_factor_bits", "matrix_bits": "mlp_bits", "matrix_lr": "matrix_lr",
    "max_wallclock_seconds": "max_wallclock_seconds", "min_lr": "min_lr", "mlp_clip_sigmas": "mlp_clip_sigmas",
    "mlp_mult": "mlp_mult", "model_dim": "model_dim", "muon_backend_steps": "ns_steps", "muon_momentum": "momentum",
    "muon_momentum_warmup_start": "momentum_warmup_start", "muon_momentum_warmup_steps": "momentum_warmup_steps",
    "muon_wd": "muon_wd", "num_heads": "num_heads", "num_kv_heads": "num_kv_heads", "num_layers": "num_layers",
    "num_loops": "loop_extra", "parallel_start_layer": "lanes_from", "qk_gain_init": "qk_gain", "rope_base": "rope_base",
    "rope_dims": "rope_dims", "scalar_lr": "scalar_lr", "skip_gates_enabled": "skip_gates", "gate_window": "gate_window",
    "sparse_attn_gate_scale": "gate_scale", "gated_attn_init_std": "dense_gate_std", "tied_embed_init_std": "tied_embed_init_std",
    "tied_embed_lr": "tied_embed_lr", "train_batch_tokens": "train_batch_tokens", "train_log_every": "train_log_every",
    "train_seq_len": "train_seq_len", "val_batch_tokens": "val_batch_tokens", "val_loss_every": "val_loss_every",
    "vocab_size": "vocab_size", "warmdown_frac": "warmdown_frac", "warmup_steps": "warmup_steps", "xsa_last_n": "xsa_last_n",
    "ttt_batch_size": "lora_batch_docs", "ttt_beta1": "lora_beta1", "ttt_beta2": "lora_beta2", "ttt_chunk_size": "lora_chunk_tokens",
    "ttt_lora_lr": "lora_lr", "ttt_lora_rank": "lora_rank", "ttt_weight_decay": "lora_wd", "global_ttt_batch_seqs": "ttt_batch_seqs",
    "global_ttt_chunk_tokens": "ttt_chunk_tokens", "global_ttt_epochs": "ttt_epochs", "global_ttt_grad_clip": "ttt_grad_clip",
    "global_ttt_lr": "ttt_lr", "global_ttt_momentum": "ttt_momentum", "phased_ttt_num_phases": "phased_phases",
    "phased_ttt_prefix_docs": "phased_docs", "wd_taper_final_mult": "wd_taper_to", "wd_taper_start_frac": "wd_taper_from",
}  # fmt: skip
LOGS = {
    "pr1530": "2026-04-10_VarLenAttn/logs/*.txt",
    "pr1729": "2026-04-18_PR1626_CaseOps_Taper/*.log",
    "pr1769": "2026-04-22_SP8192_CaseOps_GatedAttn_QuantGate_Loop45_PhasedTTT_MLPClip12/*.log",
    "pr1851": "2026-04-27_SmearGateBOSFix_PR1787Base_LQERAsym_PhasedTTT/*.log",
    "pr1868": "2026-04-29_SmearGateBOSFix_3Seed_1.06141/*rerun*.log",
    "pr1855": "2026-04-27_SP8192_LQER_SparseGate_BOSSmearFix_9HpStack_1.0611/*.log",
}


def row_of(name: str) -> Recipe:
    """The recipe that ships; a submission of its name in this folder has published nothing."""
    return load_recipe(shipped_recipes()[name])


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_train_as_the_table_of_the_rows_says(name):
    h = row_of(name).values
    found = (h["lora_rank"], h["lora_lr"], h["lora_wd"], h["lora_beta2"], h["lora_chunk_tokens"], h["eval_seq_len"],
             h["lora_batch_docs"], h["lora_targets"], h["lora_alpha"] / h["lora_rank"], h["lora_warm_a"])  # fmt: skip
    assert found == ADAPTERS[name]
    assert h["lora_windows_from_end"]
    assert h["lora_beta1"] == 0.0
    if name in PHASES:
        assert h["reports"][-1] == "ttt_phased.ttt_phased"
        assert (h["phased_docs"], h["phased_phases"], h["ttt_lr"], h["ttt_epochs"]) == PHASES[name]
    else:
        assert h["reports"][-1] == "ttt_lora.ttt_lora"
    assert h["lora_short_chunks"] == ((8, 24) if name == "pr2014" else ())


@pytest.mark.parametrize("name", LOGS)
def test_every_setting_of_a_public_log_is_the_recipes(shared, name):
    logs = sorted((shared / "records/track_10min_16mb").glob(LOGS[name]))
    assert logs
    recipe = row_of(name)
    text = logs[0].read_text(errors="replace")
    printed = dict(re.findall(r"^  ([a-z_0-9]+): (.*)$", text[: text.find("model_params")], re.M))
    compared = 0
    for public, ours in SETTINGS.items():
        if public not in printed or (public == "gated_attn_init_std" and printed["gated_attn_enabled"] == "False"):
            continue
        if public == "sparse_attn_gate_scale" and "SparseGate" not in recipe.values["head_gate"]:
            continue
        value = recipe.values[ours]
        told = printed[public] == "True" if printed[public] in ("True", "False") else float(printed[public])
        assert value == pytest.approx(told), (public, printed[public], ours, value)
        compared += 1
    assert compared > 55
    assert {p.rpartition(":")[2] for p in re.findall(r"model_params:\d+", text)} == {str(recipe.published["params"])}
    on = {key: printed.get(key) == "True" for key in
          ("caseops_enabled", "smear_gate_enabled", "sparse_attn_gate_enabled", "gated_attn_enabled", "gated_attn_quant_gate",
           "lqer_enabled", "fused_ce_enabled")}  # fmt: skip
    h = recipe.values
    if "caseops_enabled" in printed:
        assert on["caseops_enabled"] == ("side_car" in h["target_bytes"])
    assert on["smear_gate_enabled"] == bool(h["embed_pre"])
    assert on["sparse_attn_gate_enabled"] == h["head_gate"].endswith("SparseGate")
    assert on["gated_attn_enabled"] == h["head_gate"].endswith("DenseGate")
    assert on["gated_attn_quant_gate"] == bool(h["gate_quantizer"])
    assert on["lqer_enabled"] == bool(h["corrections"])
    assert on["fused_ce_enabled"] == bool(h["training_nats"])


@pytest.mark.parametrize("name", ROWS)
def test_published_numbers_hang_together(name):
    recipe = row_of(name)
    facts = recipe.published
    assert len(facts["scores"]) == len(recipe.seeds)
    assert abs(np.mean(facts["scores"]) - facts["val_bpb"]) < 7e-5  # as printed, four or five digits
    assert facts["artifact_bytes"] == facts["model_bytes"] + facts["code_bytes"]
    shipped = facts["model_bytes"] + facts["shipped_code_bytes"]
    assert ("R01" in recipe.ruling) == (shipped > 16_000_000 or name == "pr1514")
    assert ("R06" in recipe.ruling) == (facts["train_seconds"] > 600.0)
    if shipped > 16_000_000:
        assert any(fact["kind"] == "bytes as shipped" for fact in recipe.unsaid)


@pytest.mark.parametrize("name", [name for name in ROWS if row_of(name).ruling])
def test_a_row_that_breaks_a_rule_has_a_lawful_variant_beside_it(name):
    row = row_of(name)
    lawful = row_of(row.legal_variant)
    assert lawful.name == f"{name}_legal"
    assert lawful.extends == name
    assert not lawful.ruling
    assert set(row.ruling) <= set(load_pack().rules)
    h = namespace(lawful)
    if "R06" in row.ruling:
        assert h.reserve_seconds > row.published["train_seconds"] - 600 + row.values["reserve_seconds"]
    if "R23" in row.ruling:
        assert lawful.values["reports"][-1] == "ttt_lora.ttt_lora"
        assert not h.lora_warm_a
        assert not h.lora_windows_from_end
    if "R42" in row.ruling:
        assert h.smear_bos_mask
    if "R47" in row.ruling:
        assert not h.tilt


@pytest.mark.parametrize("name", ROWS)
def test_predicted_bytes_are_within_half_a_percent_of_the_published_model(name):
    recipe = row_of(name)
    found = predict(recipe)
    assert found.params == recipe.published["params"]
    assert found.estimate_bytes == pytest.approx(recipe.published["model_bytes"], rel=0.005)


def test_columns_with_more_bits_cost_what_they_cost_in_public():
    with_, without = (row_of(name) for name in ("pr1945", "pr1855"))
    predicted = predict(with_).estimate_bytes - predict(without).estimate_bytes
    assert predicted == pytest.approx(with_.published["model_bytes"] - without.published["model_bytes"], rel=0.03)


def test_a_submission_shows_what_the_row_that_it_extends_does_not_say(golf, tmp_path):
    for name, extra in (("mine", ""), ("pr1667", "")):
        (tmp_path / "submissions" / name).mkdir()
        (tmp_path / "submissions" / name / "recipe.toml").write_text(f'name = "{name}"\nextends = "pr1667"\n{extra}')
        code, out, _ = golf(f"show {name}")
        assert code == 0 and "what the README of pr1667, which it extends, does not say:" in out
        assert all(fact["says"] in out for fact in row_of("pr1667").unsaid)
    assert "does not say" not in golf("show pr1667_legal")[1]


def test_what_never_acts_is_carried_and_named():
    for name in ("pr1945", "pr1953", "pr2014", "pr2130", "pr2135"):
        recipe = row_of(name)
        assert recipe.values["eval_cap"] == "eval_cap.AsymmetricCap"
        assert any(fact["kind"] == "inert" and "AsymLogit" in fact["says"] for fact in recipe.unsaid)
    row = row_of("pr1667")
    assert not row.values["smear_trained"]
    assert any(fact["kind"] == "never trained" for fact in row.unsaid)
    for name in ("pr2130", "pr2135"):
        assert not row_of(name).values["smear_bos_mask"]
        assert any(fact["kind"] == "missing mask" for fact in row_of(name).unsaid)
    assert row_of("pr1769").values | {"name": ""} == row_of("pr1736").values | {"name": ""}


def test_contested_points_are_warnings_of_the_rules_and_do_not_stop_a_run():
    rules = load_pack().rules
    assert all(rules[code].severity == "WARN" for code in CONTESTED)
    assert not any(map(forbids, CONTESTED))
    assert forbids("R42")
    assert forbids("R22")
