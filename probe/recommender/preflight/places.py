"""Which disk of a machine serves a purpose."""

from probe.machine import Disk, Machine

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a name to look for, nothing is written there


def free_for(machine: Machine, purpose: str) -> int | None:
    """Free bytes where things of this purpose go: its own place, the home, else the roomiest real disk."""
    for wanted in (purpose, "home"):
        disk = next((one for one in machine.disks if one.purpose == wanted), None)
        if disk is not None and disk.free_bytes is not None:
            return disk.free_bytes
    real = [one.free_bytes for one in machine.disks if one.free_bytes is not None and not _in_memory(one)]
    return max(real, default=None)


def shared_memory_bytes(machine: Machine) -> int | None:
    """Size of /dev/shm, or what is free of it where only that is known."""
    disk = next((one for one in machine.disks if _is_shared_memory(one)), None)
    return None if disk is None else disk.total_bytes or disk.free_bytes


def kind_of(machine: Machine, purpose: str) -> str | None:
    """nvme, ssd, hdd, network ... of the place, or of the home."""
    for wanted in (purpose, "home"):
        disk = next((one for one in machine.disks if one.purpose == wanted), None)
        if disk is not None and disk.kind is not None:
            return disk.kind
    return None


def _is_shared_memory(disk: Disk) -> bool:
    return disk.purpose == "shared_memory" or disk.path == _SHARED_MEMORY


def _in_memory(disk: Disk) -> bool:
    return disk.kind == "ram" or _is_shared_memory(disk)
