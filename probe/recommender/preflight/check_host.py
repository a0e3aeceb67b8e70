"""Checks of the server around the GPUs: RAM, shared memory, disks, limits, ports, services."""

from typing import Final

from probe.machine.server import UNLIMITED
from probe.recommender.preflight.places import free_for, kind_of, shared_memory_bytes
from probe.recommender.preflight.situation import Check, Result, Situation, check, passed, unknown
from probe.units import GIB, MIB, format_gib

# Rules of thumb of catalogs/engines/preflight.json, in its words.
_RAM_SPARE: Final = 8 * GIB
_RAM_LEAST: Final = 16 * GIB
_RAM_ROUNDING: Final = 0.9  # 16 GB as sold minus what firmware and kernel keep
_WEIGHT_SHARE: Final = 1.1
_SHM_ONE: Final = GIB
_SHM_SEVERAL: Final = 8 * GIB
_SHM_DOCKER: Final = 64 * MIB
_DISK_ROOMY: Final = 20 * GIB
_DISK_LEAST: Final = 10 * GIB
_FILES_ENOUGH: Final = 65_535
_FILES_FEW: Final = 4_096
_MEMLOCK_LITTLE: Final = GIB


def _weights_bytes(situation: Situation) -> int:
    served = situation.served
    size = served.weights.file_bytes if served is not None and served.weights is not None else None
    return size or 0


def judge_ram_total(situation: Situation) -> Check:
    """Weights pass through the page cache while loading."""
    memory = situation.machine.memory
    weights = _weights_bytes(situation)
    need = max(round(weights * _WEIGHT_SHARE) + _RAM_SPARE, _RAM_LEAST)
    have = memory.available_bytes if memory.available_bytes is not None else memory.total_bytes
    if have is None or memory.total_bytes is None:
        return unknown("ram_total", need_bytes=need)
    seen = f"{format_gib(have)} / {format_gib(memory.total_bytes)}"
    if have < _RAM_SPARE:
        return check("ram_total", Result.FAIL, seen, fix="fix", need_bytes=need)
    enough = have >= weights * _WEIGHT_SHARE + _RAM_SPARE
    if enough and memory.total_bytes >= _RAM_LEAST * _RAM_ROUNDING:
        return passed("ram_total", seen, need_bytes=need)
    return check("ram_total", Result.WARN, seen, fix="fix", need_bytes=need)


def judge_swap_cgroup(situation: Situation) -> Check | None:
    """A container's own memory limit counts, not the host's RAM."""
    limit = situation.machine.memory.limit_bytes
    if not situation.linux:
        return None
    need = _weights_bytes(situation) + _RAM_SPARE
    if limit is None:
        return passed("swap_cgroup", "-", need_bytes=need)
    if limit < need:
        return check("swap_cgroup", Result.WARN, format_gib(limit), fix="fix", need_bytes=need)
    return passed("swap_cgroup", format_gib(limit), need_bytes=need)


def judge_shm(situation: Situation) -> Check | None:
    """NCCL and the workers' queues live in /dev/shm."""
    if not situation.linux:
        return None
    several = situation.gpus_used > 1
    need = _SHM_SEVERAL if several else _SHM_ONE
    size = shared_memory_bytes(situation.machine)
    if size is None:
        return unknown("shm", need_bytes=need)
    if size >= need:
        return passed("shm", format_gib(size), need_bytes=need)
    result = Result.FAIL if several and size <= _SHM_DOCKER else Result.WARN
    return check("shm", result, format_gib(size, 2), fix="fix", need_bytes=need)


def judge_disk_wheels(situation: Situation) -> Check:
    """The download, what it unpacks to, and pip's temporary files."""
    free = free_for(situation.machine, "home")
    if free is None:
        return unknown("disk_wheels")
    if free >= _DISK_ROOMY:
        return passed("disk_wheels", format_gib(free))
    result = Result.WARN if free >= _DISK_LEAST else Result.FAIL
    return check("disk_wheels", result, format_gib(free), fix="fix")


def judge_disk_fs(situation: Situation) -> Check:
    """Network file systems load slowly."""
    kind = kind_of(situation.machine, "huggingface")
    if kind is None:
        return unknown("disk_fs")
    return check("disk_fs", Result.WARN, kind, fix="fix") if kind == "network" else passed("disk_fs", kind)


def judge_ulimit_memlock(situation: Situation) -> Check | None:
    """Matters for InfiniBand and for tensor parallel in containers."""
    if not situation.linux:
        return None
    limit = situation.server.memlock_bytes if situation.server else None
    if limit is None:
        return unknown("ulimit_memlock")
    seen = "unlimited" if limit == UNLIMITED else f"{limit // 1024} KiB"
    matters = situation.gpus_used > 1 and situation.machine.host.os.container is not None
    if limit != UNLIMITED and limit < _MEMLOCK_LITTLE and matters:
        return check("ulimit_memlock", Result.WARN, seen, fix="fix")
    return passed("ulimit_memlock", seen)


def judge_ulimit_nofile(situation: Situation) -> Check | None:
    """Each connection is an open file."""
    return _limit(situation, "ulimit_nofile", situation.server.open_files if situation.server else None)


def judge_ulimit_nproc(situation: Situation) -> Check | None:
    """Thread pools fail where processes are few."""
    return _limit(situation, "ulimit_nproc", situation.server.processes if situation.server else None)


def _limit(situation: Situation, name: str, limit: int | None) -> Check | None:
    if not situation.linux:
        return None
    if limit is None:
        return unknown(name)
    seen = "unlimited" if limit == UNLIMITED else str(limit)
    few = limit != UNLIMITED and limit < _FILES_FEW
    return check(name, Result.WARN, seen, fix="fix") if few else passed(name, seen)


def judge_docker(situation: Situation) -> Check | None:
    """A container runtime hands the GPU over only with NVIDIA's toolkit."""
    server = situation.server
    if not situation.linux:
        return None
    if server is None or server.container_runtimes is None:
        return unknown("docker")
    seen = ", ".join(server.container_runtimes) or "-"
    if server.container_runtimes and not server.container_toolkit and situation.nvidia:
        version = situation.release.version if situation.release else ""
        return check("docker", Result.WARN, seen, fix="fix", version=version)
    return passed("docker", seen)


def judge_port_8000(situation: Situation) -> Check:
    """The port the server will listen on."""
    port = situation.engine.default_port or 8000
    used = situation.server.port_used if situation.server else None
    if used is None:
        return unknown("port_8000", port=port)
    if used:
        return check("port_8000", Result.WARN, str(port), fix="fix", port=port, other=port + 1)
    return passed("port_8000", str(port), port=port)


def judge_firewall(situation: Situation) -> Check | None:
    """Which firewall stands between the server and its users."""
    name = situation.server.firewall if situation.server else None
    if name is None:
        return unknown("firewall")
    return check("firewall", Result.INFO, name or "-", fix="fix")


def judge_hf_home(situation: Situation) -> Check:
    """Where checkpoints go, and whether they may be fetched."""
    if situation.server is None or situation.server.hub_offline is None:
        return unknown("hf_home")
    if situation.server.hub_offline:
        return check("hf_home", Result.WARN, "HF_HUB_OFFLINE=1", fix="fix")
    return passed("hf_home", "HF_TOKEN" if situation.server.hub_token else "-")


def judge_proxy(situation: Situation) -> Check:
    """A proxy that also catches local calls."""
    server = situation.server
    if server is None or server.proxy is None:
        return unknown("proxy")
    if server.proxy and not server.no_proxy_local:
        return check("proxy", Result.WARN, "HTTP(S)_PROXY", fix="fix")
    return passed("proxy", "HTTP(S)_PROXY" if server.proxy else "-")


def judge_time_clock(situation: Situation) -> Check:
    """Comparing clocks needs the network, which is not used."""
    return unknown("time_clock", engine=situation.engine.name)


def judge_existing_vllm(situation: Situation) -> Check:
    """An installation that is there already, or one that runs."""
    rows = [row for row in situation.machine.software.engines if row.id == situation.engine.id]
    packages = situation.server.packages if situation.server else {}
    version = packages.get(situation.engine.id) or next((row.version for row in rows if row.version), None)
    if rows or version:
        running = any(row.running for row in rows)
        seen = f"{situation.engine.id} {version or ''}{' (running)' if running else ''}".strip()
        return check("existing_vllm", Result.INFO, seen, fix="fix")
    return unknown("existing_vllm") if situation.server is None else passed("existing_vllm", "-")
