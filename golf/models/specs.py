"""Which model is meant, told before anything heavy is imported: a name that cannot be opened is refused at once."""

from pathlib import Path

from golf.errors import Exit, GolfError


def spec_of(submission: str | None, hf: str | None, glassllm: bool, *, others: bool = False) -> str | None:
    """What `golf.models.source.open_source` opens; without a choice the submission of the current folder, or None with `others`."""
    named = [word for word, given in (("--submission", submission), ("--hf", hf), ("--glassllm", glassllm)) if given]
    if len(named) > 1:
        raise GolfError(f"{' and '.join(named)} name more than one model", "name one")
    if others and not named:
        return None
    if glassllm:
        return "glassllm:en"
    if hf is None:
        return f"golf:{submission or ''}"
    hf_folder(hf)
    return f"hf:{hf}"


def hf_folder(name: str) -> str:
    """The folder that holds a Hugging Face model's config.json, from disk or from the local cache; GolfError (10) where there is none.

    The hub is never asked: without network its client retries for half a minute before it says so.
    """
    if not name:
        raise GolfError("no Hugging Face model is named", "`--hf FOLDER`, or `--hf EleutherAI/pythia-410m`")
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise GolfError(f"{path} has no config.json", "name the folder of a transformers model", Exit.REFUSED)
        return str(path)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        config = None
    if not isinstance(config, str):
        raise GolfError(f"{name} is neither a folder nor in the Hugging Face cache of this machine",
                        f"where there is a network: `hf download {name}`; golf itself fetches no models", Exit.REFUSED)  # fmt: skip
    return str(Path(config).parent)
