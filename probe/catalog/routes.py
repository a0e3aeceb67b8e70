"""Rented GPU classes and the wishes they are shown for."""

import sys
from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "catalogs/routes.toml"


class CloudClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class of rented machine, in the words of `--as`."""

    name: str
    machine: str
    source: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A model beyond the own PC, and the smallest class that runs its Q4_K_M comfortably."""

    model: str
    cloud: str


class RouteCatalog(msgspec.Struct, frozen=True, kw_only=True):
    """Classes from small to large, and wishes from modest to great."""

    wish: tuple[Wish, ...]
    cloud: tuple[CloudClass, ...]


@cache
def route_catalog() -> RouteCatalog:
    """The classes and wishes of catalogs/routes.toml.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), RouteCatalog)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
