"""Containers: which one we are in, and what its control groups leave us.

The limits are the narrowest over our own group and every parent that can be
seen. Where a group's files lie follows from the mount table: inside a container
the mount begins at the container's own group, and the path in
/proc/self/cgroup may be the host's (version 1) or `/` (own namespace).
"""

import math
import re
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, Limits, ask, int_or_none
from probe.collectors.host import Host
from probe.machine.attempt import Attempt, AttemptResult

_NO_LIMIT: Final = 2**60  # version 1 writes "no limit" as a number near 2^63
_MARKS: Final = (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"))
_VARIABLES: Final = (
    ("KUBERNETES_SERVICE_HOST", "kubernetes"),
    ("APPTAINER_CONTAINER", "apptainer"),
    ("SINGULARITY_CONTAINER", "apptainer"),
)
_GROUP_WORDS: Final = (
    ("kubepods", "kubernetes"),
    ("docker", "docker"),
    ("libpod", "podman"),
    ("containerd", "containerd"),
    ("/lxc", "lxc"),
)


class CgroupMount(msgspec.Struct, frozen=True):
    """One mounted hierarchy: which group of the host stands at its top, and where it is mounted."""

    version: int
    controllers: frozenset[str]
    root: str
    place: str


class GroupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one group's files say."""

    memory_limit_bytes: int | None = None
    memory_used_bytes: int | None = None
    quota_cores: float | None = None


def find_container(host: Host) -> str | None:
    """The kind of container we run in; None outside, and inside virtual machines."""
    for name, kind in _VARIABLES:
        if host.variable(name):
            return kind
    for path, kind in _MARKS:
        if host.exists(path):
            return kind
    told = host.variable("container")  # set by systemd-nspawn, lxc and podman for their first process
    if told:
        return told.strip().lower()[:20]
    for path in ("/run/systemd/container", "/run/host/container-manager"):
        text = host.read_text(path)
        if not isinstance(text, Failure) and text.strip():
            return text.strip().lower()[:20]
    groups = host.read_text("/proc/1/cgroup")
    return None if isinstance(groups, Failure) else parse_container_of_groups(groups)


def parse_container_of_groups(text: str) -> str | None:
    """The container by the path of the first process's groups (older systems write it there)."""
    return next((kind for word, kind in _GROUP_WORDS if word in text), None)


def collect_limits(host: Host) -> Facts:
    """The narrowest memory and processor limits over the ancestry."""
    if host.platform().system != "linux":
        return
    text, attempt = ask(host, "/proc/self/cgroup", lambda: host.read_text("/proc/self/cgroup"))
    yield attempt
    if isinstance(text, Failure):
        return
    membership = parse_membership(text)
    mounts = host.read_text("/proc/self/mountinfo")
    hierarchies = parse_cgroup_mounts("" if isinstance(mounts, Failure) else mounts) or _CUSTOMARY
    started = host.clock_s()
    found: list[GroupLimits] = []
    for mount in hierarchies:
        for place in group_places(mount, membership):
            found.append(_read_v2(host, place) if mount.version == 2 else _read_v1(host, place, mount))
    yield Attempt(
        source="cgroup limits", result=AttemptResult.OK, ms=round((host.clock_s() - started) * 1000, 2)
    )
    yield Found(narrowest(found), "cgroup")


def narrowest(groups: list[GroupLimits]) -> Limits:
    """The smallest limit, the smallest headroom under any limit, and the smallest quota."""
    limited = [(group.memory_limit_bytes, group.memory_used_bytes) for group in groups]
    limits = [limit for limit, _ in limited if limit is not None]
    rooms = [max(0, limit - used) for limit, used in limited if limit is not None and used is not None]
    quotas = [group.quota_cores for group in groups if group.quota_cores is not None]
    return Limits(
        memory_limit_bytes=min(limits, default=None),
        memory_headroom_bytes=min(rooms, default=None),
        quota_cores=min(quotas, default=None),
    )


def usable_cores(logical: int | None, affinity: int | None, quota: float | None) -> int | None:
    """Processors that a program may keep busy: the smallest of all bounds, a quota rounded up."""
    bounds = [bound for bound in (logical, affinity) if bound]
    if quota:
        bounds.append(max(1, math.ceil(quota)))
    return min(bounds, default=None)


def parse_membership(text: str) -> dict[str, str]:
    """Controller -> path of our group; the key of version 2 is the empty name."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def parse_cgroup_mounts(text: str) -> tuple[CgroupMount, ...]:
    """The hierarchies of /proc/self/mountinfo that carry memory or processor limits."""
    mounts: list[CgroupMount] = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(kinds[2].split(",")) if len(kinds) > 2 else frozenset()
        version = 2 if kinds[0] == "cgroup2" else 1
        controllers = frozenset({""}) if version == 2 else options & {"memory", "cpu"}
        if controllers:
            mounts.append(CgroupMount(version, controllers, _unescaped(fields[3]), _unescaped(fields[4])))
    return tuple(mounts)


_CUSTOMARY: Final = (
    CgroupMount(2, frozenset({""}), "/", "/sys/fs/cgroup"),
    CgroupMount(1, frozenset({"memory"}), "/", "/sys/fs/cgroup/memory"),
    CgroupMount(1, frozenset({"cpu"}), "/", "/sys/fs/cgroup/cpu"),
)


def group_places(mount: CgroupMount, membership: dict[str, str]) -> tuple[str, ...]:
    """Folders of our group and every visible parent, our own first.

    A path outside the mount (`/../..` of a namespace, or the host's path in a
    container that sees only itself) means that the mount's top is our group.
    """
    path = next((membership[name] for name in sorted(mount.controllers) if name in membership), None)
    if path is None:
        return ()
    root = mount.root.rstrip("/")
    inside = path[len(root) :] if path == root or path.startswith(root + "/") else ""
    parts = [part for part in inside.split("/") if part]
    if ".." in parts:
        parts = []
    base = mount.place.rstrip("/")
    return tuple("/".join([base, *parts[:count]]) for count in range(len(parts), -1, -1))


def _read_v2(host: Host, place: str) -> GroupLimits:
    limit = int_or_none(host.read_text(f"{place}/memory.max"))  # "max" is no number: no limit
    used = None
    if limit is not None:
        stat = host.read_text(f"{place}/memory.stat")
        used = used_bytes(
            int_or_none(host.read_text(f"{place}/memory.current")),
            "" if isinstance(stat, Failure) else stat,
            "inactive_file",
        )
    quota = host.read_text(f"{place}/cpu.max")
    return GroupLimits(
        memory_limit_bytes=limit,
        memory_used_bytes=used,
        quota_cores=None if isinstance(quota, Failure) else parse_cpu_max(quota),
    )


def _read_v1(host: Host, place: str, mount: CgroupMount) -> GroupLimits:
    limit = used = None
    if "memory" in mount.controllers:
        limit = int_or_none(host.read_text(f"{place}/memory.limit_in_bytes"))
        stat_text = host.read_text(f"{place}/memory.stat")
        stat = "" if isinstance(stat_text, Failure) else stat_text
        # Parents above a container's mount cannot be seen, but their narrowest limit is told here.
        above = _stat_value(stat, "hierarchical_memory_limit")
        limit = min((bound for bound in (limit, above) if bound is not None), default=None)
        if limit is not None and limit >= _NO_LIMIT:
            limit = None
        if limit is not None:
            usage = int_or_none(host.read_text(f"{place}/memory.usage_in_bytes"))
            used = used_bytes(usage, stat, "total_inactive_file")
    quota_cores = None
    if "cpu" in mount.controllers:
        quota = int_or_none(host.read_text(f"{place}/cpu.cfs_quota_us"))
        period = int_or_none(host.read_text(f"{place}/cpu.cfs_period_us"))
        quota_cores = quota / period if quota and period and quota > 0 else None
    return GroupLimits(memory_limit_bytes=limit, memory_used_bytes=used, quota_cores=quota_cores)


def used_bytes(current: int | None, stat: str, inactive_key: str) -> int | None:
    """Memory in use that cannot be given back: without file pages that nobody touched lately."""
    if current is None:
        return None
    return max(0, current - (_stat_value(stat, inactive_key) or 0))


def parse_cpu_max(text: str) -> float | None:
    """Cores of a version 2 quota `50000 100000`; None for `max 100000`."""
    parts = text.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or int(parts[1]) == 0:
        return None
    return int(parts[0]) / int(parts[1])


def _stat_value(stat: str, key: str) -> int | None:
    found = re.search(rf"^{key} (\d+)$", stat, re.MULTILINE)
    return int(found[1]) if found else None


def _unescaped(field: str) -> str:
    """Octal escapes of the mount table: `\\040` is a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
