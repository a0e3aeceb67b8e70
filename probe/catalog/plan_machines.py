"""The machines a plan tries, group by group from small to large."""

import sys
from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "catalogs/plan_machines.toml"


class MachineGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of hardware (cpu, gpu, gpus, unified, cloud); machines as in `--as`, small to large."""

    id: str
    machines: tuple[str, ...]
    source: str


class _File(msgspec.Struct, frozen=True, kw_only=True):
    group: tuple[MachineGroup, ...]


@cache
def machine_groups() -> tuple[MachineGroup, ...]:
    """All groups in the order a page shows them.

    Raises:
        CatalogError: catalogs/plan_machines.toml is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), _File).group
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
