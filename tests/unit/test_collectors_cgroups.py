"""Control groups: limits over whole trees, and the container that the first process is in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.collectors.container import (
    GroupLimits,
    narrowest,
    parse_cgroup_mounts,
    parse_container_of_groups,
    parse_cpu_max,
    parse_membership,
    usable_cores,
)
from probe.collectors.run import scan_machine
from probe.machine import Machine
from tests.fakes.hosts import TreeHost

GIB = 1024**3


def scan(tmp_path: Path, files: dict[str, str], **rest: object) -> Machine:
    return scan_machine(TreeHost(tmp_path, files, **rest), deadline_s=30)  # type: ignore[arg-type]


V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_limit_of_a_parent_counts_when_it_is_narrower(tmp_path: Path) -> None:
    """A user slice of 24 GiB above a unit of 64 GiB."""
    base = "/sys/fs/cgroup/user.slice"
    machine = scan(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/user.slice/run.scope\n",
            "/proc/self/mountinfo": V2_MOUNT,
            f"{base}/memory.max": f"{24 * GIB}\n",
            f"{base}/memory.current": f"{10 * GIB}\n",
            f"{base}/memory.stat": f"anon 1\ninactive_file {4 * GIB}\n",
            f"{base}/cpu.max": "max 100000\n",
            f"{base}/run.scope/memory.max": f"{64 * GIB}\n",
            f"{base}/run.scope/memory.current": f"{1 * GIB}\n",
            f"{base}/run.scope/memory.stat": "inactive_file 0\n",
            f"{base}/run.scope/cpu.max": "250000 100000\n",
        },
    )
    assert machine.memory.limit_bytes == 24 * GIB
    assert machine.memory.available_bytes == 18 * GIB
    assert (machine.cpu.quota_cores, machine.cpu.usable_cores) == (2.5, 3)


def test_inside_a_namespace_the_root_is_our_own_group(tmp_path: Path) -> None:
    """`docker run --memory 4g --cpus 1.5`: the path is `/` and the top folder has the files."""
    machine = scan(
        tmp_path,
        {
            "/.dockerenv": "",
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": V2_MOUNT,
            "/sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
            "/sys/fs/cgroup/memory.current": f"{1 * GIB}\n",
            "/sys/fs/cgroup/memory.stat": "inactive_file 0\n",
            "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        },
    )
    assert machine.host.os.container == "docker"
    assert (machine.memory.limit_bytes, machine.memory.available_bytes) == (4 * GIB, 3 * GIB)
    assert machine.memory.total_bytes == 131072000 * 1024
    assert machine.cpu.quota_cores == 1.5


def test_version_1_container_that_sees_the_hosts_path(tmp_path: Path) -> None:
    """The mount begins at the container's group, while /proc/self/cgroup tells the host's path."""
    machine = scan(
        tmp_path,
        {
            "/proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "/proc/self/mountinfo": (
                "40 30 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                "41 30 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
            ),
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{8 * GIB}\n",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
            "/sys/fs/cgroup/memory/memory.stat": (
                f"total_inactive_file {1 * GIB}\nhierarchical_memory_limit {6 * GIB}\n"
            ),
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert machine.memory.limit_bytes == 6 * GIB  # a parent outside our sight is narrower
    assert machine.memory.available_bytes == 4 * GIB
    assert machine.cpu.quota_cores == 4


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        {
            "/proc/self/cgroup": "4:memory:/x\n0::/\n",
            "/proc/self/mountinfo": (
                "40 30 0:30 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                "41 30 0:31 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n"
            ),
            "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/x/memory.stat": "hierarchical_memory_limit 9223372036854771712\n",
            "/sys/fs/cgroup/unified/memory.max": "max\n",
        },
    )
    assert machine.memory.limit_bytes is None
    assert machine.cpu.quota_cores is None
    assert machine.memory.available_bytes == 120000000 * 1024


def test_path_above_the_namespace_means_the_top(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/../../other\n",
            "/proc/self/mountinfo": V2_MOUNT,
            "/sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        },
    )
    assert machine.memory.limit_bytes == 2 * GIB


@given(st.lists(st.integers(1, 2**50), min_size=1, max_size=6))
def test_more_groups_never_widen_the_limit(limits: list[int]) -> None:
    groups = [GroupLimits(memory_limit_bytes=limit, memory_used_bytes=0) for limit in limits]
    assert narrowest(groups).memory_limit_bytes == min(limits)
    assert (narrowest(groups[:1]).memory_limit_bytes or 0) >= (narrowest(groups).memory_limit_bytes or 0)


@pytest.mark.parametrize(
    ("logical", "affinity", "quota", "expected"),
    [
        (64, 64, None, 64),
        (64, 8, None, 8),
        (64, 64, 1.5, 2),
        (64, 1, 4.0, 1),
        (64, 64, 0.1, 1),
        (None, None, None, None),
    ],
)
def test_usable_cores_are_the_smallest_bound(
    logical: int | None, affinity: int | None, quota: float | None, expected: int | None
) -> None:
    assert usable_cores(logical, affinity, quota) == expected


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", None), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("", None), ("1 0", None)],
)
def test_cpu_max(text: str, cores: float | None) -> None:
    assert parse_cpu_max(text) == cores


def test_membership_of_both_versions() -> None:
    text = "12:cpu,cpuacct:/a\n4:memory:/b:c\n1:name=systemd:/d\n0::/e\nnonsense\n"
    assert parse_membership(text) == {
        "cpu": "/a",
        "cpuacct": "/a",
        "memory": "/b:c",
        "name=systemd": "/d",
        "": "/e",
    }


def test_mount_table_keeps_only_hierarchies_with_limits() -> None:
    text = (
        "25 30 0:23 / /sys rw - sysfs sysfs rw\n"
        "33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
        "34 30 0:30 /a\\040b /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
    )
    (mount,) = parse_cgroup_mounts(text)
    assert (mount.version, mount.root, mount.place) == (1, "/a b", "/sys/fs/cgroup/memory")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12:memory:/docker/0123\n", "docker"),
        ("12:memory:/kubepods/burstable/pod1/2\n", "kubernetes"),
        ("0::/machine.slice/libpod-1.scope\n", "podman"),
        ("4:memory:/lxc/c1\n", "lxc"),
        ("0::/init.scope\n", None),
    ],
)
def test_container_by_the_first_processes_groups(text: str, kind: str | None) -> None:
    assert parse_container_of_groups(text) == kind
