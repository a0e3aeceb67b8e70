"""Measurements kept in the user's state folder: fingerprinted, dated, written whole or not at all."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from probe.machine.description import Machine, Measurement
from probe.units import GIB

FILE_NAME: Final = "measurements.json"
_FORMAT: Final = 1
_LIMIT_BYTES: Final = 4 * 1024 * 1024
_MOST: Final = 500


class _File(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: int
    measurements: tuple[Measurement, ...]


def fingerprint(machine: Machine) -> str:
    """What a measurement holds for: processor, cores, RAM, GPUs and their drivers.

    Changes when a module or a card is added, a driver updated, or the process may use other cores.
    """
    import hashlib  # with OpenSSL 4 ms, which a scan without measurements need not spend

    memory = machine.memory
    total = None if memory.total_bytes is None else round(memory.total_bytes / GIB)
    parts: list[object] = [
        machine.cpu.brand,
        machine.cpu.usable_cores,
        total,
        memory.speed_mt_per_s,
        len(memory.modules),
        machine.nvidia.driver_version if machine.nvidia else None,
    ]
    for device in machine.accelerators:
        size = None if device.memory_total_bytes is None else round(device.memory_total_bytes / GIB)
        parts += [device.pci_address, device.pci_id, device.name, size, device.driver_version]
    text = "\n".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def load_measurements(state_dir: Path, fingerprint: str) -> tuple[Measurement, ...]:
    """The measurements of this very hardware and driver; none where the file is missing or damaged."""
    return tuple(entry for entry in _all(state_dir) if entry.fingerprint == fingerprint)


def stale_measurements(state_dir: Path, fingerprint: str) -> tuple[Measurement, ...]:
    """Measurements of the same machine before its hardware or driver changed."""
    return tuple(entry for entry in _all(state_dir) if entry.fingerprint != fingerprint)


def save_measurements(state_dir: Path, measurements: Sequence[Measurement]) -> Path:
    """Add measurements; a newer one replaces the older of the same subject.

    The file is written beside and put in its place in one step, so that an
    interrupted run leaves the old one whole.

    Raises:
        OSError: the folder cannot be written.
    """
    kept = {_subject(entry): entry for entry in (*_all(state_dir), *measurements)}
    newest = sorted(kept.values(), key=lambda entry: entry.at)[-_MOST:]
    data = msgspec.json.encode(_File(schema_version=_FORMAT, measurements=tuple(newest)))
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / FILE_NAME
    draft = path.with_name(f"{FILE_NAME}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def with_measurements(machine: Machine, state_dir: Path | None) -> Machine:
    """The machine with what `probe bench` measured on it and still holds."""
    if state_dir is None:
        return machine
    found = load_measurements(state_dir, fingerprint(machine))
    return msgspec.structs.replace(machine, measurements=found) if found else machine


def _subject(entry: Measurement) -> tuple[str, ...]:
    names = ("device", "to", "engine", "model", "quantization", "prompt_tokens")
    return (entry.fingerprint, entry.what, *(entry.subject.get(name, "") for name in names))


def _all(state_dir: Path) -> Iterable[Measurement]:
    path = state_dir / FILE_NAME
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            return ()
        return msgspec.json.decode(path.read_bytes(), type=_File).measurements
    except (OSError, msgspec.MsgspecError):
        return ()
