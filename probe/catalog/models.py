"""The models we know: all rows, and the one row that a typed name means."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.model_spec import ModelSpec
from probe.catalog.overlay import merged, read_overlay
from probe.errors import CatalogError

if TYPE_CHECKING:
    from probe.catalog.names import ModelNames

MODELS_FILE: Final = "catalogs/models/models.json"
EXCLUDED_FILE: Final = "catalogs/models/excluded.json"


class ModelsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What scripts/build_models.py writes for the program to load."""

    schema_version: int
    updated: str  # newest `retrieved` of its rows
    models: tuple[ModelSpec, ...]


class ExcludedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model we know of and leave out, and why."""

    id: str
    reason: str
    source: str
    retrieved: str


@cache
def _models_file() -> ModelsFile:
    data = read_data(MODELS_FILE)
    try:
        return msgspec.json.decode(data, type=ModelsFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=MODELS_FILE, detail=str(error)) from error


_overlay: list[Path] = []  # at most one folder; a list so that it can be set without `global`


def use_overlay(folder: Path | None) -> None:
    """From now on the rows in `folder` belong to the catalog and win over equal ids; None for none."""
    _overlay[:] = [] if folder is None else [folder]
    for remembered in (all_models, _names, _exact_names, find_model):
        remembered.cache_clear()


@cache
def all_models() -> tuple[ModelSpec, ...]:
    """Every model of the catalog, in the order of its files, then those of the overlay folder.

    Raises:
        CatalogError: the catalog is missing or damaged.
        InputError: a row of the overlay folder is.
    """
    rows = _models_file().models
    return merged(rows, read_overlay(_overlay[0])) if _overlay else rows


def catalog_date() -> str:
    """The day on which the newest row was retrieved, as "2026-11-21"."""
    return _models_file().updated


def catalog_age_days(today: str) -> int:
    """Days between the catalog's date and `today` ("2026-12-24"); never below 0."""
    from datetime import date

    return max((date.fromisoformat(today) - date.fromisoformat(catalog_date())).days, 0)


@cache
def excluded_models() -> tuple[ExcludedModel, ...]:
    """Models left out of the catalog, each with its reason."""
    try:
        return msgspec.json.decode(read_data(EXCLUDED_FILE), type=tuple[ExcludedModel, ...])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=EXCLUDED_FILE, detail=str(error)) from error


@cache
def _names() -> "ModelNames":
    from probe.catalog.names import ModelNames  # a report knows all names that it asks for

    return ModelNames(all_models())


@cache
def _exact_names() -> dict[str, ModelSpec]:
    """Names that mean one row as they stand; aliases win over repository names without an owner."""
    models, names = all_models(), dict[str, ModelSpec]()
    for model in models:
        names[model.id.lower()] = model
    for model in models:
        for alias in (model.alias, *model.other_aliases):
            if alias is not None:
                names.setdefault(alias, model)
    for model in models:
        for name in (model.id.rpartition("/")[2].lower(), *model.ollama_tags):
            names.setdefault(name, model)
    return names


@cache
def find_model(name: str) -> ModelSpec:
    """The model that a person means by `name`.

    An exact alias, repository name or Ollama tag wins. Otherwise case, spaces,
    hyphens and Korean spellings do not matter ("exaone 4 32b", "라마 3.1 8b").
    Where several rows fit whose tensors are equal, the newest instruct row is
    meant; another vendor's fine-tune never answers to the original's name.

    Raises:
        AmbiguousNameError: several models of different shapes fit; all are suggested.
        UnknownNameError: none fits; the nearest names are suggested.
    """
    words = name.lower().replace("_", " ").split()
    exact = _exact_names().get(" ".join(name.lower().split())) or _exact_names().get("-".join(words))
    return exact or _names().find(name)
