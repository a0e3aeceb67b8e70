"""Which model is meant: a file or folder, the hub, or a catalog name, the user's own rows included."""

from pathlib import Path
from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError, UnknownNameError

_MODEL_SUFFIXES: Final = (".gguf", ".safetensors", ".json", ".onnx")
_HUB: Final = "hf:"


def own_models_folder() -> Path | None:
    """Where rows added with `probe catalog add` lie, or None where this system has no such place."""
    from probe.collectors.machine_identity import state_folder

    folder = state_folder()
    return None if folder is None else folder / "models"


def use_own_models() -> None:
    """From now on added rows belong to the catalog; without any, nothing is read."""
    folder = own_models_folder()
    if folder is not None and _is_there(folder):
        from probe.catalog.models import use_overlay

        use_overlay(folder)


def model_of(text: str, *, online: bool = False) -> ModelSpec:
    """The model that a person named.

    A catalog name wins over a folder of the same name; a path that looks like
    one (`./phi-4`, `model.gguf`) is always a path.

    Raises:
        InputError: no such file, an unreadable one, `hf:` without `online`, or an unknown name.
    """
    if not text.strip():
        raise InputError("catalog.model_unrecognized", name=text)
    if text.startswith(_HUB):
        if not online:
            raise InputError("cli.model.online_needed", text=text)
        return _open(text, online=True)
    path = _path(text)
    if _looks_like_path(text):
        if path is None or not _is_there(path):
            raise InputError("cli.model.no_file", text=text)
        return _open(str(path))
    from probe.catalog.models import find_model

    use_own_models()
    try:
        return find_model(text)
    except UnknownNameError:
        if path is not None and _is_there(path):
            return _open(str(path))
        raise


def _path(text: str) -> Path | None:
    """None where no path can be meant: `~name` of a user who does not exist."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a zero byte
        return False


def _looks_like_path(text: str) -> bool:
    is_marked = text.startswith((".", "~", "/", "\\")) or "\\" in text or text[1:2] == ":"
    return is_marked or text.lower().endswith(_MODEL_SUFFIXES)


def _open(text: str, *, online: bool = False) -> ModelSpec:
    from probe.model_files.open_model import open_model

    return open_model(text, online=online)
