"""Start-up failures of engines: how each is recognised in a pasted text."""

import re
import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/engines/errors.toml"


class EngineError(msgspec.Struct, frozen=True, kw_only=True):
    """One failure. `details` find figures near the place found; `general` says nothing of the cause."""

    id: str
    engine: str
    pattern: str
    details: tuple[str, ...] = ()
    general: bool = False
    source: str
    retrieved: str


class _ErrorFile(msgspec.Struct, frozen=True):
    errors: tuple[EngineError, ...]


@cache
def engine_errors() -> tuple[EngineError, ...]:
    """Every failure we recognise.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        rows = msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), type=_ErrorFile).errors
        for row in rows:
            for pattern in (row.pattern, *row.details):
                re.compile(pattern)
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError, re.error) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
    return rows
