"""Checks of the operating system, its libraries and the Python that will host the engine."""

import re
from typing import Final

from probe.catalog.versions import at_least, in_range
from probe.machine import OsFamily
from probe.recommender.preflight.situation import ARM, Check, Result, Situation, check, passed, unknown

_PROCESSORS: Final = ("x86_64", "amd64", *ARM)
_TORCH_GLIBC: Final = "2.28"  # every torch wheel's since 2.7 (catalogs/engines/torch.json)
_PREFERRED: Final = "3.12"
_USUAL: Final = (_PREFERRED, "3.11", "3.10", "3.13", "3.14")
_RELEASE: Final = re.compile(r"[0-9]{1,2}\.[0-9]{1,3}")
_FEWEST_ISA: Final = "avx2"
_CPU_BUILD_ISA: Final = "avx512f"


def judge_os(situation: Situation) -> Check:
    """Linux; WSL2 with a warning; what the engine's row says elsewhere."""
    system = situation.machine.host.os
    if system.family is None:
        return unknown("os")
    seen = " ".join(part for part in (system.name or system.family.value, system.version) if part)
    key = "wsl2" if system.wsl else system.family.value
    stance = situation.engine.os.get(key, "unknown")
    if stance == "yes":
        wsl = system.wsl is not None and situation.engine.os.get("windows") != "yes"
        return check("os", Result.WARN, seen, fix="fix_wsl2") if wsl else passed("os", seen)
    if stance == "unknown":
        return check("os", Result.UNKNOWN, seen)
    result = Result.WARN if stance == "limited" else Result.FAIL
    return check("os", result, seen, fix=f"fix_{key}", engine=situation.engine.name)


def judge_wsl2(situation: Situation) -> Check | None:
    """WSL1 has no CUDA; WSL2 has, with less memory."""
    system = situation.machine.host.os
    if system.family is None:
        return unknown("wsl2")
    if system.family is not OsFamily.LINUX:
        return None
    if system.wsl == 1:
        return check("wsl2", Result.FAIL, "WSL1", fix="fix")
    if system.wsl == 2:
        return check("wsl2", Result.WARN, f"WSL2 {system.kernel or ''}".strip(), fix="fix_wsl2")
    return passed("wsl2", "-")


def judge_arch(situation: Situation) -> Check:
    """Wheels exist for two processors."""
    found = situation.machine.cpu.architecture
    if found is None:
        return unknown("arch")
    if found.lower() in _PROCESSORS:
        return passed("arch", found)
    return check("arch", Result.FAIL, found, fix="fix")


def judge_glibc(situation: Situation) -> Check | None:
    """The wheel's manylinux tag; Alpine's musl never has one."""
    if situation.machine.host.os.family in (OsFamily.WINDOWS, OsFamily.MACOS):
        return None
    system = situation.machine.host.os
    need = (situation.release.glibc_min if situation.release else None) or _TORCH_GLIBC
    if "alpine" in (system.name or "").lower():
        return check("glibc", Result.FAIL, "musl", fix="fix", need=need)
    enough = at_least(system.glibc, need)
    if enough is None:
        return unknown("glibc", need=need)
    if enough:
        return passed("glibc", system.glibc, need=need)
    return check("glibc", Result.FAIL, system.glibc, fix="fix", need=need)


def fitting_python(situation: Situation) -> str | None:
    """An interpreter known here that the release accepts; 3.12 first, with most wheels."""
    wanted = situation.release.python if situation.release else None
    fitting = [name for name in _pythons(situation) if wanted is None or in_range(name, wanted)]
    if _PREFERRED in fitting:
        return _PREFERRED
    return max(fitting, key=lambda name: tuple(map(int, name.split(".")[:2])), default=None)


def _pythons(situation: Situation) -> list[str]:
    host = situation.machine.host
    names = [*situation.machine.software.python_versions]
    if host.python is not None and host.python_bits != 32:
        names.append(host.python)
    if situation.server is not None:
        names += situation.server.python_versions
    return [found[0] for name in names if (found := _RELEASE.match(name))]


def usual_python(wanted: str) -> str:
    """The release of Python to install for an engine: 3.12 where it is allowed."""
    return next((name for name in _USUAL if in_range(name, wanted)), _USUAL[0])


def judge_python(situation: Situation) -> Check | None:
    """Any interpreter that fits will do, and uv brings its own."""
    wanted = situation.release.python if situation.release else None
    if wanted is None:
        return None
    found = sorted(set(_pythons(situation)), key=lambda name: tuple(map(int, name.split("."))))
    seen = ", ".join(found) or None
    version = usual_python(wanted)
    if fitting_python(situation) is not None:
        return passed("python", seen, need=wanted)
    if situation.server is not None and situation.server.uv:
        return check("python", Result.WARN, f"{seen or '-'}, uv", fix="fix_uv", need=wanted, version=version)
    if seen is None:
        return unknown("python", need=wanted)
    return check("python", Result.FAIL, seen, fix="fix", need=wanted, version=version)


def judge_venv_clean(situation: Situation) -> Check:
    """Another torch in the environment would be replaced, or breaks."""
    need = situation.release.torch if situation.release else None
    if situation.server is None:
        return unknown("venv_clean")
    torch = situation.server.packages.get("torch")
    if torch is None:
        return passed("venv_clean", "-")
    seen = f"torch {torch}"
    if need is None or torch.split("+")[0] == need:
        return passed("venv_clean", seen)
    return check("venv_clean", Result.WARN, seen, fix="fix", need=need)


def judge_cpu_isa(situation: Situation) -> Check:
    """AVX2 for anything, AVX-512 for the CPU build."""
    if situation.arm:
        return passed("cpu_isa", situation.machine.cpu.architecture)
    isa = situation.machine.cpu.isa
    if not isa:
        return unknown("cpu_isa")
    seen = " ".join(name for name in (_FEWEST_ISA, _CPU_BUILD_ISA) if name in isa) or "-"
    for_cpu = situation.ask.build == "cpu"
    if _FEWEST_ISA not in isa:
        lost = for_cpu or not situation.usable
        return check("cpu_isa", Result.FAIL if lost else Result.WARN, seen, fix="fix")
    if for_cpu and _CPU_BUILD_ISA not in isa:
        return check("cpu_isa", Result.WARN, seen, fix="fix_avx512")
    return passed("cpu_isa", seen)


def judge_in_container(situation: Situation) -> Check | None:
    """Inside a container the host decides about drivers and limits."""
    system = situation.machine.host.os
    if system.family is not OsFamily.LINUX:
        return None
    if system.container is None:
        return passed("in_container", "-")
    return check("in_container", Result.INFO, system.container, fix="fix")


def judge_unified_memory(situation: Situation) -> Check | None:
    """GPU and system share one memory: the budget is RAM."""
    shared = [device for device in situation.usable if device.memory_shared]
    if not shared:
        return None
    return check("unified_memory", Result.INFO, shared[0].name, fix="fix")
