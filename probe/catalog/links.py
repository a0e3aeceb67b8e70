"""Speeds of the roads between devices, one way: PCIe, NVLink, C2C, memory channels, disks and networks."""

import enum
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

_FILE: Final = "catalogs/devices/links.json"


class RoadKind(enum.Enum):
    """What kind of road a row is."""

    PCIE = "pcie"
    NVLINK = "nvlink"
    C2C = "c2c"
    INFINITY_FABRIC = "infinity_fabric"
    UPI = "upi"
    THUNDERBOLT = "thunderbolt"
    OCULINK = "oculink"
    USB = "usb"
    SATA = "sata"
    ETHERNET = "ethernet"
    INFINIBAND = "infiniband"
    MEMORY_CHANNEL = "memory_channel"


class Road(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row. Both rates are one way; vendors often print both ways together."""

    name: str
    kind: RoadKind
    generation: str | None = None
    width: int | None = None
    bytes_per_s: float  # of the line after coding
    usable_bytes_per_s: float
    usable_basis: str | None = None
    note: str | None = None
    source: str
    retrieved: str


@cache
def all_links() -> tuple[Road, ...]:
    """Every road of the catalog.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(_FILE), type=tuple[Road, ...])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


@cache
def _pcie_rows() -> dict[tuple[str | None, int | None], Road]:
    return {(row.generation, row.width): row for row in all_links() if row.kind is RoadKind.PCIE}


def pcie_bytes_per_s(generation: int | None, width: int | None) -> float | None:
    """What a PCIe link of that generation and width really carries one way; None when either is unknown.

    85 % of the line rate after coding; x12 and other widths in proportion to x1.
    """
    if generation is None or width is None:
        return None
    row = _pcie_rows().get((str(generation), width))
    if row is not None:
        return row.usable_bytes_per_s
    lane = _pcie_rows().get((str(generation), 1))
    return lane.usable_bytes_per_s * width if lane is not None else None


def link_named(name: str) -> Road | None:
    """The road of that exact name; None where the catalog has none."""
    return next((row for row in all_links() if row.name == name), None)


def c2c_bytes_per_s(gpu_name: str) -> float | None:
    """What NVLink-C2C between this GPU and its CPU carries one way; None for GPUs without it."""
    if "GB10" in gpu_name:
        return _rate("NVLink-C2C (GB10)")
    if any(chip in gpu_name for chip in ("GH200", "GB200", "GB300")):
        return _rate("NVLink-C2C (Grace Hopper / Grace Blackwell)")
    return None


def _rate(name: str) -> float | None:
    row = link_named(name)
    return row.bytes_per_s if row else None
