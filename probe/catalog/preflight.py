"""The checks of a server before vLLM is installed, and the errors that users meet, as data."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

_FILE: Final = "catalogs/engines/preflight.json"


class PreflightCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check. `blocking`: `always`, `with_model`, `several_gpus`, or None = it only warns."""

    id: str
    blocking: str | None = None
    read: str | None = None
    rule: str | None = None
    passes: str | None = None
    warns: str | None = None
    fails: str | None = None
    tells: str | None = None
    note: str | None = None
    verified: str | None = None
    source: tuple[str, ...]
    retrieved: str


class KnownError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An engine's error message: what causes it and what helps."""

    text: str
    cause: str | None = None
    fix: str | None = None
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class _PreflightFile(msgspec.Struct, frozen=True):
    checks: tuple[PreflightCheck, ...]
    error_messages: tuple[KnownError, ...]


@cache
def _file() -> _PreflightFile:
    try:
        return msgspec.json.decode(read_data(_FILE), type=_PreflightFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


def preflight_checks() -> tuple[PreflightCheck, ...]:
    """Every check, in the order in which people read them."""
    return _file().checks


def known_errors() -> tuple[KnownError, ...]:
    """Error messages of engines with cause and fix."""
    return _file().error_messages
