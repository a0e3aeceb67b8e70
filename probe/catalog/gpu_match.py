"""Which row a detected GPU is: strictly, by PCI id, driver name, memory and memory clock together.

Never by part of a name: "A1000" contains "a100", and an RTX 4060 Laptop GPU is no
RTX 4060. No row is better than a wrong one.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

from probe.catalog.gpu_rows import GPU_VENDORS, GpuSpec, gpus_of, pci_vendor
from probe.machine.accelerator import AcceleratorKind

# ECC takes 1/16 and drivers keep a little: Tesla P4 7611 of 8192 MiB is the lowest share seen.
_MEMORY_LOW: Final = 0.915
_MEMORY_HIGH: Final = 1.01
# Where the memory is RAM the kernel's total counts: firmware and carve-outs take more (Orin 8 GB: 7.4 GiB).
_SHARED_LOW: Final = 0.85
# NVML's maximum differs from the data sheet's clock by up to 2.4 % (H200: 3201 against 3125 MHz).
# The two RTX 4070 boards are 5 % apart.
_CLOCK_TOLERANCE: Final = 0.03

_MARKS: Final = re.compile(r"\((?:TM|R)\)", re.IGNORECASE)
_MESA_SUFFIX: Final = re.compile(r"\s*\((?:RADV|DG2|BMG|ADL|RPL|TGL|MTL|ARL|LNL|ICL|CFL|KBL|SKL)\b[^)]*\)$")
_MAKER: Final = re.compile(r"^(?:NVIDIA|AMD|ATI)\s+")
# Windows' driver says `AMD Radeon 780M Graphics`, Linux' `AMD Radeon 780M`.
_MODEL_AND_GRAPHICS: Final = re.compile(r"^(Radeon \d{3,4}[MS]) Graphics$")
# The card's own memory says `AMD Instinct MI300X OAM`, tools say `AMD Instinct MI300X`.
_MODULE: Final = re.compile(r"^(Instinct MI\d+[AX]?) OAM$")
# What drivers print when they do not know the board: says nothing, so the PCI id decides.
_NO_NAME: Final = frozenset({"", "Radeon Graphics", "Graphics", "Radeon", "GPU"})


def driver_name_key(name: str) -> str:
    """A driver's name without marks, maker and Mesa's chip suffix; the case stays (Super is not SUPER)."""
    plain = _MESA_SUFFIX.sub("", _MARKS.sub(" ", name))
    key = _MAKER.sub("", " ".join(plain.split()))
    return _MODULE.sub(r"\1", _MODEL_AND_GRAPHICS.sub(r"\1", key))


@cache
def _by_driver_name(vendor: str) -> dict[str, tuple[GpuSpec, ...]]:
    found: dict[str, tuple[GpuSpec, ...]] = {}
    for row in gpus_of(vendor):
        for key in {driver_name_key(name) for name in row.driver_names}:
            found[key] = (*found.get(key, ()), row)
    return found


@cache
def _by_pci_id(vendor: str) -> dict[str, tuple[GpuSpec, ...]]:
    found: dict[str, tuple[GpuSpec, ...]] = {}
    for row in gpus_of(vendor):
        for pci_id in row.pci_ids:
            found[pci_id] = (*found.get(pci_id, ()), row)
    return found


def _memory_fits(row: GpuSpec, memory_bytes: int | None) -> bool:
    if memory_bytes is None or not row.memory_options_bytes:
        return True
    low = _SHARED_LOW if row.memory_shared else _MEMORY_LOW
    return any(low <= memory_bytes / size <= _MEMORY_HIGH for size in row.memory_options_bytes)


def _clock_fits(row: GpuSpec, clock_mhz: int | None) -> bool:
    if clock_mhz is None or row.memory_clock_mhz is None:
        return True
    return abs(clock_mhz / row.memory_clock_mhz - 1) <= _CLOCK_TOLERANCE


def _candidates(vendor: str, pci_id: str | None, name: str | None) -> tuple[GpuSpec, ...]:
    by_id = _by_pci_id(vendor).get(pci_id, ()) if pci_id else ()
    key = driver_name_key(name) if name else ""
    if key in _NO_NAME:
        return by_id
    named = _by_driver_name(vendor).get(key, ())
    if not pci_id:
        return named
    both = tuple(row for row in named if pci_id in row.pci_ids)
    if both:
        return both
    # An id we never saw is no contradiction where the name means one board only.
    return named if len(named) == 1 and not by_id else ()


def _in_common(rows: Sequence[GpuSpec]) -> GpuSpec:
    """What holds for all of several GPUs that live in RAM: names joined, the rest where equal."""
    first = msgspec.structs.asdict(rows[0])
    optional = {field.name for field in msgspec.structs.fields(GpuSpec) if not field.required}
    for name in optional:
        if any(getattr(row, name) != first[name] for row in rows):
            first[name] = next(
                field.default for field in msgspec.structs.fields(GpuSpec) if field.name == name
            )
    first["name"] = " / ".join(row.name for row in rows)
    return GpuSpec(**first)


def match_gpu(
    *,
    pci_id: str | None = None,
    name: str | None = None,
    memory_bytes: int | None = None,
    memory_clock_mhz: int | None = None,
) -> GpuSpec | None:
    """The row of a detected GPU, or None when the readings do not decide it.

    Args:
        pci_id: vendor and device, lower case: `10de:2684`.
        name: as the driver prints it (NVML, registry, DRM); None where only the bus was read.
        memory_bytes: total as the driver reports it, up to 8.5 % below nominal.
        memory_clock_mhz: the maximum, not the current one, as NVML counts it.

    Boards that live in RAM and share one id (Radeon 8050S and 8060S) give a joined
    row with what holds for each of them.
    """
    known = pci_vendor(pci_id)
    if pci_id and known is None:
        return None
    rows: tuple[GpuSpec, ...] = ()
    for vendor in (known,) if known else GPU_VENDORS:
        rows += _candidates(vendor, pci_id.lower() if pci_id else None, name)
    fitting = [row for row in rows if _memory_fits(row, memory_bytes) and _clock_fits(row, memory_clock_mhz)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting and all(row.kind is not AcceleratorKind.DISCRETE and row.memory_shared for row in fitting):
        return _in_common(fitting)
    return None


def match_apple_gpu(chip: str, gpu_cores: int | None, memory_bytes: int | None) -> GpuSpec | None:
    """The row of an Apple chip by brand string (`Apple M4 Max`), GPU cores and RAM size.

    Two versions of the Max chips share the brand string and differ in bandwidth:
    the core count tells them apart, or else the RAM sizes they are sold with.
    """
    rows = [row for row in gpus_of("apple") if chip in row.driver_names]
    if gpu_cores is not None:
        rows = [row for row in rows if gpu_cores in row.gpu_cores]
    elif memory_bytes is not None and len(rows) > 1:
        rows = [
            row
            for row in rows
            if any(abs(memory_bytes / size - 1) < 0.05 for size in row.memory_options_bytes)
        ]
    return rows[0] if len(rows) == 1 else None
