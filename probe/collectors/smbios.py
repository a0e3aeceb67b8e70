"""The firmware's own table (SMBIOS): memory devices, chassis, sockets, and whether all this is virtual.

The table is written by the board's maker and may be truncated, lie about its
lengths or lack its end: whatever can be read is read, nothing raises.
Offsets are those of DMTF DSP0134, SMBIOS Reference Specification 3.7.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

_MOST_STRUCTURES: Final = 4096
_HEADER_BYTES: Final = 4
_WINDOWS_HEADER_BYTES: Final = 8
_END_OF_TABLE: Final = 127
_BIOS, _SYSTEM, _CHASSIS, _PROCESSOR, _ARRAY, _DEVICE = 0, 1, 3, 4, 16, 17
_SYSTEM_MEMORY: Final = 3  # 7.17.2: use of an array
_MIB: Final = 1024**2
_MOST_MODULE_BYTES: Final = 4 * 1024**4
_UNKNOWN_WORD: Final = 0xFFFF

# Table 78, memory device type. SDRAM and DDR are left out: boards of 2008 to 2011 write them for
# whatever they carry (DDR3-1333 among the tables we know), and what truly has them is older still.
_TYPES: Final = {
    0x13: "DDR2",
    0x14: "DDR2",  # fully buffered
    0x18: "DDR3",
    0x19: "DDR2",  # FBD2
    0x1A: "DDR4",
    0x1B: "LPDDR",
    0x1C: "LPDDR2",
    0x1D: "LPDDR3",
    0x1E: "LPDDR4",
    0x20: "HBM",
    0x21: "HBM2",
    0x22: "DDR5",
    0x23: "LPDDR5",
    0x24: "HBM3",
}
TYPES: Final = frozenset(_TYPES.values())
# Makers or products by which virtual machines name themselves, in lower case.
_VIRTUAL_MAKERS: Final = ("vmware", "qemu", "innotek", "xen", "parallels", "bochs", "red hat")
_VIRTUAL_PRODUCTS: Final = (
    "virtual machine",
    "virtual platform",
    "virtualbox",
    "vmware",
    "kvm",
    "standard pc (",
    "hvm domu",
    "google compute engine",
    "openstack",
    "droplet",
    "bhyve",
    "alibaba cloud ecs",
)
_EC2: Final = "amazon ec2"  # its bare-metal servers have the same maker and a product like `i3.metal`


class MemoryDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of the table, empty (0 bytes) or not; speeds are the raw figures, which may be clocks."""

    size_bytes: int | None = None  # None: a module of unknown size
    type: str | None = None
    rated: int | None = None
    configured: int | None = None
    locator: str | None = None
    bank: str | None = None
    data_width_bits: int | None = None


class Smbios(msgspec.Struct, frozen=True, kw_only=True):
    """What of the table bears on running LLMs."""

    devices: tuple[MemoryDevice, ...] = ()
    chassis: int | None = None  # 7.4.1
    sockets: int | None = None  # populated ones
    virtual: bool = False


class _Structure(msgspec.Struct, frozen=True):
    """One structure: its formatted bytes and the text after them."""

    kind: int
    body: bytes
    strings: tuple[str, ...]

    def byte(self, at: int) -> int | None:
        return self.body[at] if at < len(self.body) else None

    def number(self, at: int, size: int) -> int | None:
        raw = self.body[at : at + size]
        return int.from_bytes(raw, "little") if len(raw) == size else None

    def text(self, at: int) -> str | None:
        """The string whose number stands at this offset; makers write "None" in many words."""
        number = self.byte(at)
        if not number or number > len(self.strings):
            return None
        return plain_text(self.strings[number - 1])


def type_name(code: int | None) -> str | None:
    """`DDR4` for 26; None for codes that say nothing of the technology."""
    return _TYPES.get(code or 0)


def plain_text(value: str | None) -> str | None:
    """A maker's string, None where it says that there is none."""
    text = " ".join((value or "").split())
    return None if text.lower() in ("", "not specified", "null", "unknown", "<bad index>") else text


def parse_windows_table(raw: bytes) -> Smbios:
    """The answer of GetSystemFirmwareTable('RSMB'): 8 bytes before the table, the last 4 its length."""
    length = int.from_bytes(raw[4:_WINDOWS_HEADER_BYTES], "little")
    return parse_table(raw[_WINDOWS_HEADER_BYTES : _WINDOWS_HEADER_BYTES + length])


def parse_table(raw: bytes) -> Smbios:
    """The raw table, as in /sys/firmware/dmi/tables/DMI."""
    structures = list(_structures(raw))
    foreign = {
        structure.number(2, 2)
        for structure in structures
        if structure.kind == _ARRAY and structure.byte(5) not in (None, _SYSTEM_MEMORY)
    }
    sockets = [structure for structure in structures if structure.kind == _PROCESSOR]
    return Smbios(
        devices=tuple(
            _device(structure)
            for structure in structures
            # A flash chip or cache has an array of its own, by its use.
            if structure.kind == _DEVICE and structure.number(4, 2) not in foreign
        ),
        chassis=next((_chassis(one) for one in structures if one.kind == _CHASSIS), None),
        # Bit 6 of the status: the socket is populated.
        sockets=sum(1 for socket in sockets if (socket.byte(0x18) or 0) & 0x40) or None,
        virtual=any(_says_virtual(structure) for structure in structures),
    )


def is_virtual(maker: str | None, product: str | None) -> bool:
    """Whether a system by this maker's and product's name is a virtual machine."""
    by, what = (maker or "").lower(), (product or "").lower()
    if by.startswith(_EC2):
        return "metal" not in what
    return by.startswith(_VIRTUAL_MAKERS) or any(name in what for name in _VIRTUAL_PRODUCTS)


def _structures(raw: bytes) -> Iterator[_Structure]:
    position = 0
    for _ in range(_MOST_STRUCTURES):
        if position + _HEADER_BYTES > len(raw):
            return
        kind, length = raw[position], raw[position + 1]
        after = position + length
        if length < _HEADER_BYTES or kind == _END_OF_TABLE:
            return
        end = raw.find(b"\0\0", after)
        complete = end >= 0
        area = raw[after : end if complete else len(raw)]
        strings = tuple(part.decode("utf-8", errors="replace") for part in area.split(b"\0")) if area else ()
        yield _Structure(kind, raw[position:after], strings)
        if not complete:
            return
        position = end + 2


def _device(structure: _Structure) -> MemoryDevice:
    return MemoryDevice(
        size_bytes=_size(structure),
        type=type_name(structure.byte(0x12)),
        rated=_speed(structure, 0x15, 0x54),
        configured=_speed(structure, 0x20, 0x58),
        locator=structure.text(0x10),
        bank=structure.text(0x11),
        data_width_bits=_width(structure.number(0x0A, 2)),
    )


def _size(structure: _Structure) -> int | None:
    """Bit 15 of the word means KiB instead of MiB; 0x7FFF sends to the extended field in MiB."""
    word = structure.number(0x0C, 2)
    if word is None or word == _UNKNOWN_WORD:
        return None
    if word == 0x7FFF:
        extended = structure.number(0x1C, 4)
        size = None if extended is None else (extended & 0x7FFFFFFF) * _MIB
    elif word & 0x8000:
        size = (word & 0x7FFF) * 1024
    else:
        size = word * _MIB
    return size if size is None or size <= _MOST_MODULE_BYTES else None


def _speed(structure: _Structure, at: int, extended_at: int) -> int | None:
    """MT/s as the table says; 0 is unknown, 0xFFFF sends to the extended field."""
    word = structure.number(at, 2)
    if word == _UNKNOWN_WORD:
        extended = structure.number(extended_at, 4)
        return (extended or 0) & 0x7FFFFFFF or None
    return word or None


def _width(bits: int | None) -> int | None:
    """Bits of data; odd figures (2244, 65506) are seen on old boards and mean nothing."""
    return bits if bits in (8, 16, 32, 64, 128) else None


def _chassis(structure: _Structure) -> int | None:
    """Kind of the case; bit 7 only says that it has a lock."""
    kind = structure.byte(5)
    return None if kind is None else kind & 0x7F


def _says_virtual(structure: _Structure) -> bool:
    if structure.kind == _BIOS:
        return bool((structure.byte(0x13) or 0) & 0x10)  # 7.1.2.2: "SMBIOS table describes a virtual machine"
    return structure.kind == _SYSTEM and is_virtual(structure.text(4), structure.text(5))
