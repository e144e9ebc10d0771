"""A composed submission from overrides of a recipe."""

BASE = "baseline"


def compose(tmp_path, *overrides, edit=None):
    from golf.compose.composition import composition
    from golf.recipe import load_recipe

    folder = tmp_path / "submissions" / "mine"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(f'name = "mine"\nextends = "{BASE}"\n')
    text = composition(load_recipe(BASE, overrides)).text
    changed = edit(text) if edit else text
    assert edit is None or changed != text, "the fault was not planted"
    (folder / "train_gpt.py").write_text(changed)
    return folder
