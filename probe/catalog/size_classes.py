"""Which models and recipes stand for the map of sizes and quantization levels."""

import sys
from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "catalogs/size_classes.toml"


class SizeClass(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the map: its name and the alias of the catalog model that is computed."""

    size_class: str
    model: str
    source: str


class QuantizationLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the map and the GGUF recipe that is computed."""

    quantization: str
    recipe: str
    cpu_recipe: str | None = None  # taken instead where a CPU computes alone and this is quicker
    source: str


class SizeClasses(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and columns in the order they are shown."""

    size: tuple[SizeClass, ...]
    level: tuple[QuantizationLevel, ...]
    context: int


@cache
def size_classes() -> SizeClasses:
    """The map's rows and columns.

    Raises:
        CatalogError: catalogs/size_classes.toml is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), SizeClasses)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
