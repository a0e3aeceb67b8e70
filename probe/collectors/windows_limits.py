"""Job objects: what a batch system, a container or a sandbox of Windows leaves this process."""

from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, Limits, ask
from probe.collectors.host import Host

_CALL: Final = "QueryInformationJobObject"
# winnt.h: JOBOBJECTINFOCLASS
_EXTENDED_LIMITS, _CPU_RATE, _MEMORY_USAGE = 9, 15, 28
_PROCESS_MEMORY: Final = 0x100  # JOB_OBJECT_LIMIT_PROCESS_MEMORY
_JOB_MEMORY: Final = 0x200  # JOB_OBJECT_LIMIT_JOB_MEMORY
_RATE_ON, _RATE_WEIGHT, _RATE_HARD_CAP, _RATE_MIN_MAX = 0x1, 0x2, 0x4, 0x10
_WHOLE: Final = 10_000  # CpuRate counts hundredths of a percent of all processors


def collect(host: Host) -> Facts:
    """The job's limits; a process in no job has none. Parents of nested jobs are not told."""
    raw, attempt = ask(host, "job limits", lambda: host.native(_CALL, _EXTENDED_LIMITS))
    yield attempt
    if isinstance(raw, bytes):
        limit = parse_memory_limit(raw)
        if limit is not None:
            used = host.native(_CALL, _MEMORY_USAGE)
            in_use = parse_memory_usage(used) if isinstance(used, bytes) else 0
            yield Found(
                Limits(memory_limit_bytes=limit, memory_headroom_bytes=max(0, limit - in_use)), "job object"
            )
    if isinstance(raw, Failure):
        return
    rate = host.native(_CALL, _CPU_RATE)
    logical = host.platform().logical_cores
    if isinstance(rate, bytes) and logical:
        share = parse_cpu_rate(rate)
        if share is not None:
            yield Found(Limits(quota_cores=share * logical), "job object")


def parse_memory_limit(raw: bytes) -> int | None:
    """Bytes that the job or the process may commit, by JOBOBJECT_EXTENDED_LIMIT_INFORMATION of 64 bits."""
    if len(raw) < 128:
        return None
    flags = int.from_bytes(raw[16:20], "little")
    process, job = (int.from_bytes(raw[at : at + 8], "little") for at in (112, 120))
    limits = [
        size for size, flag in ((process, _PROCESS_MEMORY), (job, _JOB_MEMORY)) if flags & flag and size
    ]
    return min(limits, default=None)


def parse_memory_usage(raw: bytes) -> int:
    """Bytes that the job uses now, by JOBOBJECT_MEMORY_USAGE_INFORMATION."""
    return int.from_bytes(raw[:8], "little")


def parse_cpu_rate(raw: bytes) -> float | None:
    """The share of all processors that is a hard cap, by JOBOBJECT_CPU_RATE_CONTROL_INFORMATION."""
    if len(raw) < 8:
        return None
    flags, rate = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
    if not flags & _RATE_ON or flags & _RATE_WEIGHT:
        return None
    if flags & _RATE_MIN_MAX:
        rate >>= 16  # two words: at least, at most
    elif not flags & _RATE_HARD_CAP:
        return None
    return rate / _WHOLE if 0 < rate < _WHOLE else None
