"""Engines and runtimes from all sources: one row each, what one source lacks filled from another."""

from collections.abc import Iterable, Sequence

import msgspec

from probe.collectors.facts import Found, VisibleDevices
from probe.machine.software import InstalledEngine, Runtime, Software

_MASKS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")


def merge_software(parts: Sequence[Found]) -> Software:
    """Everything installed, and the variables that decide what programs may use."""
    found = [part.part for part in parts if isinstance(part.part, Software)]
    environment: dict[str, str] = {}
    for software in found:
        environment |= software.environment
    for part in parts:
        if isinstance(part.part, VisibleDevices):
            values = (part.part.cuda, part.part.order, part.part.container)
            environment |= {
                name: value for name, value in zip(_MASKS, values, strict=True) if value is not None
            }
    runtimes: dict[str, Runtime] = {}
    for runtime in (runtime for software in found for runtime in software.runtimes):
        known = runtimes.get(runtime.id)
        if known is None or known.version is None:
            runtimes[runtime.id] = runtime
    return Software(
        engines=_engines(engine for software in found for engine in software.engines),
        runtimes=tuple(runtimes.values()),
        cuda_toolkit_version=_last(software.cuda_toolkit_version for software in found),
        python_versions=next(
            (software.python_versions for software in found if software.python_versions), ()
        ),
        environment=environment,
    )


def _engines(rows: Iterable[InstalledEngine]) -> tuple[InstalledEngine, ...]:
    """One row for each engine; a running server's word on version and models stands over the files'."""
    known: dict[str, InstalledEngine] = {}
    for row in rows:
        other = known.get(row.id)
        if other is None:
            known[row.id] = row
            continue
        first, second = (row, other) if row.running and not other.running else (other, row)
        gaps = {
            name: getattr(second, name)
            for name in first.__struct_fields__
            if getattr(first, name) in (None, ()) and getattr(second, name) not in (None, ())
        }
        known[row.id] = msgspec.structs.replace(first, **gaps)
    return tuple(known.values())


def _last(values: Iterable[str | None]) -> str | None:
    last: str | None = None
    for value in values:
        last = value or last
    return last
