"""Firmware tables built byte by byte, as a board's maker would (DMTF DSP0134)."""

import gzip
import json
import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TRUTH = Path(__file__).parents[1] / "truth" / "memory_modules.jsonl.gz"
TYPE_CODES = {
    "Other": 0x01,
    "Unknown": 0x02,
    "DRAM": 0x03,
    "Flash": 0x09,
    "SDRAM": 0x0F,
    "DDR": 0x12,
    "DDR2": 0x13,
    "DDR3": 0x18,
    "DDR4": 0x1A,
    "LPDDR3": 0x1D,
    "LPDDR4": 0x1E,
    "DDR5": 0x22,
    "LPDDR5": 0x23,
    "<OUT OF SPEC>": 0x7E,
}
SYSTEM_MEMORY, FLASH = 3, 5  # uses of an array
ARRAY, FLASH_ARRAY = 0x0010, 0x0011  # handles
SERIAL = "SECRET0123"


def structure(kind: int, body: bytes, *strings: str, handle: int = 0x40) -> bytes:
    """One structure: header, formatted area, strings, two zero bytes at the end."""
    area = b"".join(text.encode() + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), handle) + body + area + b"\0"


def array(handle: int = ARRAY, use: int = SYSTEM_MEMORY) -> bytes:
    return structure(16, struct.pack("<BBBIHH", 3, use, 3, 0x80000000, 0xFFFE, 4), handle=handle)


def memory_device(module: Mapping[str, Any]) -> bytes:
    """Type 17 of a module as dmidecode printed it; a speed above 65534 would go to the extended field."""
    strings: list[str] = []

    def text(value: str | None) -> int:
        if not value or value == "Not Specified":
            return 0
        if value == "<BAD INDEX>":
            return 0x7F
        strings.append(value)
        return len(strings)

    size, extended = _size(module["size"])
    rated, configured = _number(module["speed"]), _number(module["configured_speed"])
    width = _number(module["data_width"]) or 0xFFFF
    body = struct.pack(
        "<HHHHHBBBBBHHBBBBBIHHHH",
        FLASH_ARRAY if module["type"] == "Flash" else ARRAY,
        0xFFFE,
        width,
        width,
        size,
        0x09,
        0,
        text(module["locator"]),
        text(module["bank"]),
        TYPE_CODES[module["type"]],
        0x0080,
        rated,
        text("Maker"),
        text(SERIAL),
        text("Asset"),
        text("Part"),
        0,
        extended,
        configured,
        0,
        0,
        0,
    )
    if module["configured_speed"] is None:
        body = body[: 0x20 - 4]  # tables before SMBIOS 2.7 end before the configured speed
    if module["speed"] is None:
        body = body[: 0x15 - 4]  # and those before 2.3 before any speed
    return structure(17, body, *strings)


def bios(*, virtual: bool = False) -> bytes:
    bits = 0x1C if virtual else 0x0C
    return structure(
        0,
        bytes([1, 2, 0, 0xE0, 3, 0xFF]) + bytes(8) + bytes([3, bits, 5, 0, 0xFF, 0xFF]),
        "Maker",
        "1.0",
        "01/01/2024",
    )


def system(maker: str = "Maker", product: str = "Product") -> bytes:
    return structure(1, bytes([1, 2, 0, 3]) + bytes(range(16)) + bytes([6, 0, 0]), maker, product, SERIAL)


def chassis(kind: int) -> bytes:
    return structure(3, bytes([1, kind | 0x80, 0, 2, 0]) + bytes(8), "Maker", SERIAL)


def processor(*, populated: bool = True) -> bytes:
    body = bytearray(0x2A - 4)
    body[0x18 - 4] = 0x41 if populated else 0x00
    return structure(4, bytes(body), "CPU")


def end() -> bytes:
    return structure(127, b"")


def table(modules: Iterable[Mapping[str, Any]], *others: bytes) -> bytes:
    return b"".join(
        (bios(), *others, array(), array(FLASH_ARRAY, FLASH), *(memory_device(one) for one in modules), end())
    )


def windows_table(raw: bytes) -> bytes:
    """The same with the eight bytes that GetSystemFirmwareTable puts before it."""
    return struct.pack("<BBBBI", 0, 3, 3, 0, len(raw)) + raw


def module(
    size: str = "8 GB",
    locator: str = "DIMM 0",
    bank: str = "P0 CHANNEL A",
    kind: str = "DDR4",
    *,
    speed: str | None = "3200 MT/s",
    configured: str | None = "3200 MT/s",
    width: str = "64 bits",
) -> dict[str, str | None]:
    return {
        "size": size,
        "locator": locator,
        "bank": bank,
        "type": kind,
        "speed": speed,
        "configured_speed": configured,
        "data_width": width,
    }


def real_machines() -> list[dict[str, Any]]:
    """400 machines' module tables as dmidecode printed them (linuxhw/DMI, see the file's neighbours)."""
    with gzip.open(TRUTH, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _number(text: str | None) -> int:
    found = re.match(r"(\d+) ", text or "")
    return int(found[1]) if found else 0


def _size(text: str) -> tuple[int, int]:
    """(size word, extended size): MiB in 15 bits, or 0x7FFF and the extended field from 32 GiB on."""
    if not re.match(r"\d", text):
        return 0, 0
    mib = _number(text) * (1024 if text.endswith("GB") else 1)
    return (mib, 0) if mib < 0x7FFF else (0x7FFF, mib)
