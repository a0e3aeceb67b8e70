"""What no machine can be: texts and counts without end, sizes below nothing, memory without speed.

A file that says so was damaged or made to mislead; it is refused before anything computes with it.
"""

from typing import Any, Final

_MOST_LETTERS: Final = 4_096
_MOST_DEVICES: Final = 256
_MOST: Final = 2.0**60  # bytes, bytes a second and every count stay below
_SIZES: Final = ("_bytes", "_bytes_per_s", "_mt_per_s", "_mhz", "_bits", "low", "value", "high", "index")
_COUNTS: Final = ("_cores", "channels")
_BANDWIDTH: Final = "bandwidth_bytes_per_s"


def impossible(machine: dict[str, Any]) -> tuple[str, str] | None:
    """Where a machine cannot be true and what stands there; None where everything can."""
    devices = machine.get("accelerators")
    if isinstance(devices, list) and len(devices) > _MOST_DEVICES:
        return "accelerators", str(len(devices))
    open_parts: list[tuple[str, Any]] = [("", machine)]
    while open_parts:
        where, part = open_parts.pop()
        if isinstance(part, dict):
            for key, value in part.items():
                found = _wrong(str(key), value, where)
                if found is not None:
                    return f"{where}{str(key)[:80]}", found
                if isinstance(value, (dict, list)):
                    open_parts.append((f"{where}{str(key)[:80]}.", value))
        else:
            for number, value in enumerate(part):
                if isinstance(value, str) and len(value) > _MOST_LETTERS:
                    return f"{where}{number}", _too_long(value)
                if isinstance(value, (dict, list)):
                    open_parts.append((f"{where.removesuffix('.')}[{number}].", value))
    return None


def _wrong(key: str, value: Any, where: str) -> str | None:
    if len(key) > _MOST_LETTERS:
        return _too_long(key)
    if isinstance(value, str):
        return _too_long(value) if len(value) > _MOST_LETTERS else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    least: float = 0
    if key.endswith(_COUNTS):
        least = 1
    elif not key.endswith(_SIZES):
        return None
    inside = least <= value < _MOST and (value > 0 or not (key == _BANDWIDTH or _BANDWIDTH in where))
    return None if inside else str(value)[:40]


def _too_long(text: str) -> str:
    return f"{len(text):,} letters"
