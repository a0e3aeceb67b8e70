"""Free space where models would go, each place asked by itself: a dead network disk hangs only its thread."""

import re
from functools import partial
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Collector, Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.attempt import AttemptResult
from probe.machine.system import Disk

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "9p", "glusterfs"}
)
_NETWORK_FUSE: Final = (
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.ceph",
)
_RAM: Final = frozenset({"tmpfs", "ramfs"})
PURPOSES: Final = ("home", "huggingface", "ollama", "temporary", "shared_memory")
_MOST_PARENTS: Final = 40


class Mount(msgspec.Struct, frozen=True):
    """One line of the mount table."""

    place: str
    device: str  # major:minor
    kind: str  # ext4, nfs4, overlay ...
    source: str


def collectors() -> tuple[tuple[str, Collector], ...]:
    """One collector for each place, with its name."""
    return tuple((f"disk: {purpose}", partial(_collect, purpose)) for purpose in PURPOSES)


def _collect(purpose: str, host: Host) -> Facts:
    path = place_of(host, purpose)
    if path is None:
        return
    there = path
    figures, attempt = ask(host, f"disk: {purpose}", lambda: host.disk_figures(path))
    # A folder that will be made on first use lies where its nearest parent does.
    for _ in range(_MOST_PARENTS):
        if not isinstance(figures, Failure) or figures.result is not AttemptResult.ABSENT:
            break
        above = parent(there)
        if above == there:
            break
        there = above
        figures, attempt = ask(host, f"disk: {purpose}", partial(host.disk_figures, there))
    yield attempt
    if isinstance(figures, Failure):
        return
    yield Found(
        Disk(path=path, purpose=purpose, free_bytes=figures.free_bytes, total_bytes=figures.total_bytes),
        "file system",
    )
    if host.platform().system == "linux":
        kind = _kind(host, there)
        if kind:
            yield Found(Disk(path=path, purpose=purpose, kind=kind), "/proc/self/mountinfo")
    elif host.platform().system == "windows":
        from probe.collectors.windows_storage import disk_kind as windows_disk_kind

        kind = windows_disk_kind(host, there)
        if kind:
            yield Found(Disk(path=path, purpose=purpose, kind=kind), "storage properties")


def place_of(host: Host, purpose: str) -> str | None:
    """The folder that serves a purpose, by the variables each program obeys; it need not exist."""
    facts = host.platform()
    home = facts.home
    windows = facts.system == "windows"
    join = "\\" if windows else "/"
    if purpose == "temporary":
        named = host.variable("TEMP" if windows else "TMPDIR")
        return named or (None if windows else "/tmp")  # noqa: S108 - asked for its size, nothing is written
    if purpose == "shared_memory":
        return "/dev/shm" if facts.system == "linux" else None  # noqa: S108 - likewise
    if purpose == "huggingface":
        for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", f"{join}hub")):
            value = host.variable(name)
            if value:
                return value + below
        cache = None if windows else host.variable("XDG_CACHE_HOME")
        base = cache or (f"{home}{join}.cache" if home else None)
        return f"{base}{join}huggingface{join}hub" if base else None
    if purpose == "ollama":
        named = host.variable("OLLAMA_MODELS")
        if named:
            return named
        service = "/usr/share/ollama/.ollama/models"  # where the Linux installer's own user keeps them
        if facts.system == "linux" and host.exists(service):
            return service
        return f"{home}{join}.ollama{join}models" if home else None
    return home


def parent(path: str) -> str:
    """The folder above, itself at the top; both systems' separators."""
    separator = "\\" if "\\" in path else "/"
    above = path.rstrip(separator).rpartition(separator)[0]
    if separator == "/":
        return above or "/"
    return above + separator if above.endswith(":") else above or path


def _kind(host: Host, path: str) -> str | None:
    table = host.read_text("/proc/self/mountinfo")
    if isinstance(table, Failure):
        return None
    mount = mount_of(path, parse_mounts(table))
    if mount is None:
        return None
    if mount.kind in _NETWORK or mount.kind.startswith(_NETWORK_FUSE):
        return "network"
    if mount.kind in _RAM:
        return "ram"
    device = f"/sys/dev/block/{mount.device}"
    target = host.read_link(device)
    name = mount.source if isinstance(target, Failure) else target.rpartition("/")[2]
    for folder in (f"{device}/queue", f"{device}/../queue"):  # a partition's queue is its disk's
        rotational = host.read_text(f"{folder}/rotational")
        if not isinstance(rotational, Failure):
            return disk_kind(name, rotational.strip() == "1")
    return disk_kind(name, None)


def disk_kind(name: str, rotational: bool | None) -> str | None:
    """nvme, ssd or hdd by device name and queue; virtual disks do not say what is under them."""
    short = name.rpartition("/")[2]
    if short.startswith("nvme"):
        return "nvme"
    if rotational is None or short.startswith(("vd", "xvd", "loop")):
        return None
    return "hdd" if rotational else "ssd"


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """The mount table /proc/self/mountinfo."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) >= 5 and len(kinds) >= 2:
            place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
            mounts.append(Mount(place, fields[2], kinds[0], kinds[1]))
    return tuple(mounts)


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount that holds a path: the deepest above it, of equal ones the last (it covers the others)."""
    best: Mount | None = None
    for mount in mounts:
        place = mount.place.rstrip("/")
        if (path == place or path.startswith(place + "/")) and (
            best is None or len(place) >= len(best.place.rstrip("/"))
        ):
            best = mount
    return best
