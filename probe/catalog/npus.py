"""NPUs and accelerator cards: known by PCI id or the system's name, with what serves LLMs on them."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.accelerator import AcceleratorKind

_FILE: Final = "catalogs/devices/npus.json"


class NpuSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One NPU or card. An NPU shares the RAM and adds no memory; None = not known.

    `software_note` names the sentence of messages/*/npus.toml; `engines` and
    `limits` are the facts behind it, in English.
    """

    name: str
    vendor: str
    kind: AcceleratorKind
    pci_ids: tuple[str, ...] = ()  # `209f:*` = any device of the vendor
    os_names: tuple[str, ...] = ()
    tops: float | None = None
    tops_kind: str | None = None
    memory_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    engines: str | None = None
    limits: str | None = None
    software_note: str
    detect_linux: str | None = None
    detect_windows_macos: str | None = None
    python_packages: tuple[str, ...] = ()
    verified: bool = True
    source: str
    retrieved: str


class DisplayAdapter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Adapters that are no GPU for us. `kind`: bmc, virtual, software, no_driver."""

    kind: str
    pci_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    source: str
    retrieved: str


class _NpuFile(msgspec.Struct, frozen=True):
    npus: tuple[NpuSpec, ...]
    display_adapters: tuple[DisplayAdapter, ...]


@cache
def _file() -> _NpuFile:
    try:
        return msgspec.json.decode(read_data(_FILE), type=_NpuFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


def all_npus() -> tuple[NpuSpec, ...]:
    """Every NPU and accelerator card of the catalog."""
    return _file().npus


def _has_id(pci_ids: tuple[str, ...], pci_id: str) -> bool:
    vendor = pci_id.partition(":")[0]
    return pci_id in pci_ids or f"{vendor}:*" in pci_ids


def match_npu(*, pci_id: str | None = None, os_name: str | None = None) -> NpuSpec | None:
    """The row of a detected NPU or card: by PCI id, else by the system's own name for it, exactly.

    A device of a known vendor that is not listed gives the vendor's row without
    figures; a name that several boards share under one id (Wormhole) is decided by
    the system's name.
    """
    rows = all_npus()
    wanted, plain = (pci_id or "").lower(), (os_name or "").lower()
    by_id = next((row for row in rows if wanted in row.pci_ids), None)
    by_name = next((row for row in rows if plain in {name.lower() for name in row.os_names}), None)
    if by_id is not None and by_name is not None and not by_name.pci_ids and by_name.tops is not None:
        return by_name
    by_vendor = next((row for row in rows if wanted and _has_id(row.pci_ids, wanted)), None)
    return by_id or by_name or by_vendor


def display_adapter_kind(*, pci_id: str | None = None, name: str | None = None) -> str | None:
    """Why an adapter is no GPU for us (`bmc`, `virtual`, `software`, `no_driver`); None = it may be one."""
    plain = (name or "").strip().lower()
    for row in _file().display_adapters:
        if pci_id and _has_id(row.pci_ids, pci_id.lower()):
            return row.kind
        if plain and any(plain == known.lower() for known in row.names):
            return row.kind
    if plain.startswith(("llvmpipe", "softpipe", "swiftshader")):
        return "software"
    return None
