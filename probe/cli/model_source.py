"""Which model a command is about: a file or folder, the hub, or a catalog name."""

from pathlib import Path
from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError, UnknownNameError

_MODEL_SUFFIXES: Final = (".gguf", ".safetensors", ".json")
_HUB: Final = "hf:"


def model_of(text: str, *, online: bool = False) -> ModelSpec:
    """The model that a person named.

    A catalog name wins over a folder of the same name; a path that looks like
    one (`./phi-4`, `model.gguf`) is always a path.

    Raises:
        InputError: no such file, an unreadable one, `hf:` without `--online`, or an unknown name.
    """
    if text.startswith(_HUB):
        if not online:
            raise InputError("cli.model.online_needed", text=text)
        return _open(text, online=True)
    path = Path(text).expanduser()
    if _looks_like_path(text):
        if not path.exists():
            raise InputError("cli.model.no_file", text=text)
        return _open(str(path))
    from probe.catalog.models import find_model
    from probe.cli.own_models import use_own_models

    use_own_models()
    try:
        return find_model(text)
    except UnknownNameError:
        if path.exists():
            return _open(str(path))
        raise


def _looks_like_path(text: str) -> bool:
    is_marked = text.startswith((".", "~", "/", "\\")) or "\\" in text or text[1:2] == ":"
    return is_marked or text.lower().endswith(_MODEL_SUFFIXES)


def _open(text: str, *, online: bool = False) -> ModelSpec:
    from probe.model_files.open_model import open_model

    return open_model(text, online=online)
