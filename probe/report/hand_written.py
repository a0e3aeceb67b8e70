"""GPUs of a machine that a person wrote down: names as people say them, memory left out."""

import msgspec

from probe.catalog.gpu_match import match_gpu
from probe.catalog.gpu_rows import GpuSpec
from probe.catalog.gpu_search import GpuBoard, find_board
from probe.errors import ProbeError
from probe.machine import Accelerator, Machine, Source
from probe.units import GIB


def with_named_gpus(machine: Machine) -> Machine:
    """The machine with every GPU under its driver's name, where the words mean one board of the catalog.

    A name of several boards, or of none, stays as it is written: nothing is guessed. Memory
    that was left out is the board's and marked as the catalog's; memory that was written stays.
    """
    devices, sources = [], dict(machine.provenance)
    for position, device in enumerate(machine.accelerators):
        board = _board(device)
        if board is None:
            devices.append(device)
            continue
        row = board.spec
        total = device.memory_total_bytes
        if total is None and not row.memory_shared:
            total = row.reported_memory_bytes or board.memory_bytes or _only_size(row)
            sources[f"/accelerators/{position}/memory_total_bytes"] = Source(
                kind="catalog", source=row.source
            )
        name = row.driver_names[0] if row.driver_names else row.name
        devices.append(
            msgspec.structs.replace(
                device,
                name=device.name if _is_drivers_name(device) else name,
                vendor=row.vendor,
                memory_total_bytes=total,
            )
        )
    return msgspec.structs.replace(machine, accelerators=tuple(devices), provenance=sources)


def _is_drivers_name(device: Accelerator) -> bool:
    return match_gpu(name=device.name, memory_bytes=device.memory_total_bytes) is not None


def _board(device: Accelerator) -> GpuBoard | None:
    """The one board that the name, with the memory where it is written, means."""
    words = [device.name]
    if device.memory_total_bytes:
        words.append(f"{device.name} {-(-device.memory_total_bytes // GIB)}GB")
    for text in words:
        try:
            return find_board(text, suggest=False, need_memory=device.memory_total_bytes is None)
        except ProbeError:
            continue
    return None


def _only_size(row: GpuSpec) -> int | None:
    return row.memory_options_bytes[0] if len(row.memory_options_bytes) == 1 else None
