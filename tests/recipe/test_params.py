"""Optimizer, learning rate and weight decay of every parameter, as the public scripts have them."""

import pytest

from golf.recipe import load_recipe
from golf.recipe.params import parameters, table

MATRICES = ("c_q.weight", "c_k.weight", "c_v.weight", "attn.proj.weight", "mlp.fc.weight", "mlp.proj.weight")
# recipe: matrix lr, scalar lr, embed lr; weight decay of matrices, embeddings, scalars; what else is in the embed or scalar group
EXPECTED = {
    "baseline": (0.04, 0.04, 0.05, 0, 0, 0, {}),
    "pr740": (0.02, 0.02, 0.03, 0.04, 0, 0, {"Bigram740.embed": "scalar", "Bigram740.proj": "scalar"}),
    "pr414": (0.025, 0.025, 0.035, 0.04, 0.04, 0.04, {"BigramXor.embed": "embed", "BigramXor.proj": "matrix", "ValueTable.embed": "embed", "ValueTable.proj": "matrix"}),
    "pr1573": (0.025, 0.025, 0.035, 0.04, 0.04, 0.04, {"BigramXor.embed": "embed", "BigramXor.proj": "scalar", "ValueTable.embed": "embed", "ValueTable.proj": "scalar"}),
    "pr1394": (0.02, 0.02, 0.03, 0.085, 0.085, 0.02, {}),
    "pr1493": (0.022, 0.02, 0.03, 0.095, 0.085, 0.02, {}),
    "pr1809": (0.022, 0.02, 0.03, 0.095, 0.085, 0.02, {}),
}  # fmt: skip


def group_of(name: str, others: dict[str, str]) -> str:
    for part, group in others.items():
        if part in name:
            return group
    return "embed" if name == "tok_emb.weight" else "matrix" if name.endswith(MATRICES) else "scalar"


@pytest.mark.parametrize("name", EXPECTED)
def test_every_parameter_has_the_group_rate_and_decay_of_the_tables(name):
    matrix_lr, scalar_lr, embed_lr, matrix_wd, embed_wd, scalar_wd, others = EXPECTED[name]
    rates = {
        "matrix": ("Muon", matrix_lr, matrix_wd),
        "embed": ("AdamW", embed_lr, embed_wd),
        "scalar": ("AdamW", scalar_lr, scalar_wd),
    }
    for parameter in parameters(load_recipe(name)):
        group = group_of(parameter.name, others)
        assert (parameter.name, parameter.group) == (parameter.name, group)
        assert (parameter.optimizer, parameter.base_lr, parameter.wd) == rates[group]


def test_tables_train_in_the_dtype_of_the_activations_and_nothing_else_does():
    for parameter in parameters(load_recipe("pr1573")):
        assert (parameter.master == "compute") == parameter.name.endswith(("tok_emb.weight", "embed.weight"))


def test_the_table_folds_layers_that_are_alike():
    rows = table(load_recipe("pr1573"))
    names = [row[0] for row in rows]
    assert "blocks.0-11.mlp.fc.weight" in names
    assert "blocks.10-11.attn.value.ValueEmbed.scale" in names
    assert len(names) == len(set(names))
