"""What kind of disk a Windows path lies on."""

from typing import Final

from probe.collectors.answers import Plain
from probe.collectors.host import Host

# fileapi.h: GetDriveType; ntddstor.h: STORAGE_BUS_TYPE
_REMOTE, _RAM_DISK = 4, 6
_NVME: Final = 17
_SOLID: Final = frozenset({12, 13})  # SD, MMC


def disk_kind(host: Host, path: str) -> str | None:
    """`nvme`, `ssd`, `hdd`, `network` or `ram`; None where the drive does not tell."""
    if path.startswith(("\\\\", "//")) and not path.startswith(("\\\\?\\", "\\\\.\\")):
        return "network"
    plain = path.removeprefix("\\\\?\\")
    if plain[1:2] != ":":
        return None
    return parse_storage(host.native("storage", plain[:2].upper()))


def parse_storage(answer: Plain | object) -> str | None:
    """The kind by drive type, bus and seek penalty."""
    if not isinstance(answer, dict):
        return None
    if answer.get("drive_type") == _REMOTE:
        return "network"
    if answer.get("drive_type") == _RAM_DISK:
        return "ram"
    if answer.get("bus_type") == _NVME:
        return "nvme"
    penalty = answer.get("seek_penalty")
    if penalty is None:
        return "ssd" if answer.get("bus_type") in _SOLID else None
    return "hdd" if penalty else "ssd"
