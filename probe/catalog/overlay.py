"""Models a user added: rows in a folder of their own, read after the catalog's and winning over them."""

from pathlib import Path
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError

# What only the file on disk has; a row keeps the shapes.
_ONLY_OF_FILES: Final = ("stored_tensors", "file_bytes", "file_quantization", "gguf_metadata", "hf_config")
_NOT_IN_FILE_NAMES: Final = str.maketrans(dict.fromkeys('/\\:*?"<>| ', "-"))


def read_overlay(folder: Path) -> tuple[ModelSpec, ...]:
    """Rows of all `*.json` files in `folder`, each a row or a list of rows; empty if there is no folder.

    Raises:
        InputError: a file cannot be read or is no row.
    """
    models: list[ModelSpec] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            rows = msgspec.json.decode(path.read_bytes(), type=ModelSpec | list[ModelSpec])
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError("catalog.damaged_file", path=str(path), detail=str(error)) from error
        models += rows if isinstance(rows, list) else [rows]
    return tuple(models)


def write_overlay(folder: Path, model: ModelSpec) -> Path:
    """Writes `model` as a row of its own and returns the file; an older row of the same id is replaced.

    Raises:
        InputError: the folder cannot be written.
    """
    path = folder / f"{model.id.translate(_NOT_IN_FILE_NAMES)}.json"
    content = msgspec.json.format(msgspec.json.encode(row_of(model)), indent=1) + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InputError("catalog.overlay_unwritable", path=str(path), detail=str(error)) from error
    return path


def row_of(model: ModelSpec) -> ModelSpec:
    """`model` without what only its file has; its figures are computed, never taken from our tables."""
    nothing = dict.fromkeys(_ONLY_OF_FILES)
    return msgspec.structs.replace(model, origin="own", **nothing)


def merged(catalog: tuple[ModelSpec, ...], overlay: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
    """Catalog rows and the user's: a user's row takes the place of one with its id or its alias."""
    if not overlay:
        return catalog
    own = {model.id: model for model in overlay}
    aliases = {alias for model in own.values() for alias in (model.alias, *model.other_aliases)}
    kept = []
    for model in catalog:
        if model.id in own:
            continue
        others = tuple(alias for alias in model.other_aliases if alias not in aliases)
        alias = None if model.alias in aliases else model.alias
        if (alias, others) != (model.alias, model.other_aliases):
            kept.append(msgspec.structs.replace(model, alias=alias, other_aliases=others))
        else:
            kept.append(model)
    return (*kept, *own.values())
