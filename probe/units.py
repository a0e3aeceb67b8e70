"""Units in names and types: bytes inside, GiB, GB and GB/s only for people."""

import re
from typing import Final, NewType

from probe.errors import InputError

Bytes = NewType("Bytes", int)
Tokens = NewType("Tokens", int)

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3
TIB: Final = 1024**4
KB: Final = 10**3
MB: Final = 10**6
GB: Final = 10**9
TB: Final = 10**12

_SUFFIXES: Final = {
    "b": 1,
    "k": KIB,
    "kb": KIB,
    "kib": KIB,
    "m": MIB,
    "mb": MIB,
    "mib": MIB,
    "g": GIB,
    "gb": GIB,
    "gib": GIB,
    "t": TIB,
    "tb": TIB,
    "tib": TIB,
}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
MAX_BYTES: Final = 2**60


def parse_memory_size(text: str) -> Bytes:
    """Bytes of a memory size typed by a person: `16GB`, `4 GiB`, `512MB`.

    Memory is sold in powers of two under decimal names, so GB means GiB here.

    Raises:
        InputError: no number, unknown unit, not positive, or above 2^60 bytes.
    """
    found = _SIZE.fullmatch(text)
    factor = _SUFFIXES.get(found.group(2).lower()) if found else None
    if found is None or factor is None:
        raise InputError("input.size_malformed", text=text)
    size = round(float(found.group(1)) * factor)
    if not 0 < size <= MAX_BYTES:
        raise InputError("input.size_impossible", text=text)
    return Bytes(size)


def format_gib(size_bytes: float, digits: int = 1) -> str:
    """`12.3 GiB`: how memory is written on every page."""
    return f"{size_bytes / GIB:,.{digits}f} GiB"


def format_gb(size_bytes: float, digits: int = 1) -> str:
    """`4.9 GB` (10^9): how files and downloads are written on every page."""
    return f"{size_bytes / GB:,.{digits}f} GB"


def format_gb_per_s(bytes_per_s: float) -> str:
    """`1008 GB/s` (10^9): how bandwidth is written on every page; one digit below 100."""
    value = bytes_per_s / GB
    return f"{value:,.0f} GB/s" if value >= 100 else f"{value:,.1f} GB/s"


def format_tokens_per_s(value: float) -> str:
    """Tokens per second without its unit: two significant digits below 10, none after the point above."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
