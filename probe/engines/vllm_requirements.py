"""May vLLM be installed and started on this machine, and which release.

Releases, drivers and compiled code: catalogs/engines. Platform rules: vllm 0.33.0
docs/getting_started/installation, platforms/cuda.py.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.catalog.cuda import code_runs, minimum_driver
from probe.catalog.engines import EngineRelease, all_releases
from probe.catalog.versions import at_least, version_key
from probe.engines.vllm_budget import parse_capability
from probe.engines.vllm_formats import is_below
from probe.machine import Accelerator, AcceleratorState, Machine, OsFamily
from probe.messages.reason import Reason

_ARM: Final = ("aarch64", "arm64")
_PROCESSORS: Final = ("x86_64", "amd64", *_ARM)
_TORCH_GLIBC: Final = (
    "2.28"  # of every torch wheel since 2.7 (catalogs/engines/torch.json), whatever vLLM's tag says
)
_CPU_BUILD_ISA: Final = frozenset({"avx512f", "avx2", "neon", "asimd"})


class VllmVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """`verdict`: ok, limited, no or unknown, as in the contract's engines[]; `release`: newest that fits."""

    verdict: str
    causes: tuple[Reason, ...] = ()
    release: EngineRelease | None = None


def vllm_verdict(machine: Machine) -> VllmVerdict:
    """The judgement of what `pip install vllm` gives here: the CUDA wheel.

    A release fits when system, glibc, driver and compiled code do. `limited` means it
    works with something given up: an older release, fp16 only, another build.
    """
    system = _system_causes(machine)
    if system:
        return VllmVerdict(verdict="no", causes=system)
    if machine.host.os.family is OsFamily.MACOS:
        return VllmVerdict(verdict="limited", causes=(Reason(code="vllm.needs.macos_metal"),))
    gpus = [device for device in machine.accelerators if device.vendor == "nvidia"]
    if not gpus:
        return _without_nvidia(machine)
    usable = [device for device in gpus if device.state is AcceleratorState.USABLE]
    if not usable:
        states = ", ".join(sorted({device.state.value for device in gpus}))
        cause = Reason(code="vllm.needs.usable_gpu", values={"states": states})
        return VllmVerdict(verdict="no", causes=(cause,))
    return _with_gpus(machine, usable)


def _system_causes(machine: Machine) -> tuple[Reason, ...]:
    system = machine.host.os
    if system.family is OsFamily.WINDOWS:
        return (Reason(code="vllm.needs.windows"),)
    if system.family is OsFamily.MACOS and not _has_apple_gpu(machine):
        return (Reason(code="vllm.needs.macos"),)
    if system.wsl == 1:
        return (Reason(code="vllm.needs.wsl2"),)
    processor = machine.cpu.architecture
    if processor is not None and processor.lower() not in _PROCESSORS:
        return (Reason(code="vllm.needs.architecture", values={"architecture": processor}),)
    return ()


def _has_apple_gpu(machine: Machine) -> bool:
    """vLLM-Metal wants Apple silicon (its documentation's installation page, read 2026-11-22)."""
    return any(device.vendor == "apple" for device in machine.usable_gpus())


def _without_nvidia(machine: Machine) -> VllmVerdict:
    """AMD and Intel have builds of their own; without a GPU there is the CPU build."""
    vendors = {device.vendor for device in machine.usable_gpus()}
    for vendor in ("amd", "intel"):
        if vendor in vendors:
            return VllmVerdict(verdict="limited", causes=(Reason(code=f"vllm.needs.{vendor}_build"),))
    if machine.host.os.family is None:
        return VllmVerdict(verdict="unknown", causes=(Reason(code="vllm.needs.system_unknown"),))
    if machine.cpu.isa and not _CPU_BUILD_ISA & set(machine.cpu.isa):
        return VllmVerdict(verdict="no", causes=(Reason(code="vllm.needs.cpu_isa"),))
    return VllmVerdict(verdict="limited", causes=(Reason(code="vllm.needs.cpu_build"),))


def vllm_releases() -> tuple[EngineRelease, ...]:
    """Every examined release, newest first."""
    rows = [row for row in all_releases() if row.engine == "vllm"]
    return tuple(sorted(rows, key=lambda row: version_key(row.version), reverse=True))


def _with_gpus(machine: Machine, gpus: Sequence[Accelerator]) -> VllmVerdict:
    newest: tuple[Reason, ...] = ()
    for index, release in enumerate(vllm_releases()):
        if index and not has_wheel(release, machine):
            continue
        refused, unknown = release_causes(release, machine, gpus)
        if index == 0:
            newest = (*refused, *unknown)
        if refused:
            continue
        if unknown:
            return VllmVerdict(verdict="unknown", causes=unknown, release=release)
        limits = _limits(gpus)
        if index == 0:
            return VllmVerdict(verdict="limited" if limits else "ok", causes=limits, release=release)
        older = Reason(code="vllm.needs.older_release", values={"version": release.version})
        return VllmVerdict(verdict="limited", causes=(older, *newest, *limits), release=release)
    return VllmVerdict(verdict="no", causes=newest)


def release_causes(
    release: EngineRelease, machine: Machine, gpus: Sequence[Accelerator]
) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """What stands against one release here, and what is not known about it."""
    refused: list[Reason] = []
    unknown: list[Reason] = []
    glibc = machine.host.os.glibc
    need = release.glibc_min or _TORCH_GLIBC
    if at_least(glibc, need) is False:
        values = {"need": need, "found": glibc, "version": release.version}
        refused.append(Reason(code="vllm.needs.glibc", values={**values}))
    driver = driver_of(machine)
    least = driver_floor(release, machine)
    enough = at_least(driver, least)
    if enough is None:
        unknown.append(Reason(code="vllm.needs.driver_unknown", values={"need": least}))
    elif not enough:
        values = {"need": least, "found": driver, "version": release.version}
        refused.append(Reason(code="vllm.needs.driver", values={**values}))
    for gpu in gpus:
        if parse_capability(gpu.compute_capability) is None:
            unknown.append(Reason(code="vllm.needs.capability_unknown", values={"name": gpu.name}))
        elif not has_code_for(release, machine, gpu):
            values = {
                "name": gpu.name,
                "found": gpu.compute_capability,
                "least": lowest_code(release, machine),
                "version": release.version,
            }
            refused.append(Reason(code="vllm.needs.capability", values={**values}))
    return tuple(refused), tuple(unknown)


def driver_of(machine: Machine) -> str | None:
    """The NVIDIA driver's version, from the machine or any of its GPUs."""
    if machine.nvidia is not None and machine.nvidia.driver_version:
        return machine.nvidia.driver_version
    versions = (device.driver_version for device in machine.accelerators if device.vendor == "nvidia")
    return next((version for version in versions if version), None)


def driver_floor(release: EngineRelease, machine: Machine) -> str | None:
    """The oldest driver for a release; WSL2 uses the Windows driver, whose floor is another."""
    if machine.host.os.wsl == 2 and release.cuda:
        return minimum_driver(version_key(release.cuda)[0], OsFamily.WINDOWS) or release.min_driver_linux
    return release.min_driver_linux


def lowest_code(release: EngineRelease, machine: Machine) -> str | None:
    """The lowest compute capability the wheel for this processor has code for."""
    if (machine.cpu.architecture or "").lower() in _ARM:
        return release.min_cc_aarch64 or release.min_cc
    return release.min_cc


def has_code_for(release: EngineRelease, machine: Machine, gpu: Accelerator) -> bool:
    """Whether the wheel is known to hold code for this GPU. PTX is left out: few kernels have it."""
    pair = parse_capability(gpu.compute_capability)
    if pair is None:
        return False
    arm = (machine.cpu.architecture or "").lower() in _ARM
    compiled = release.sass_aarch64 if arm else release.sass_x86_64
    if compiled:
        return code_runs(compiled, (), f"{pair[0]}.{pair[1]}")
    return not is_below(pair, lowest_code(release, machine))


def has_wheel(release: EngineRelease, machine: Machine) -> bool:
    """Whether `pip install` of this release gives code for NVIDIA GPUs on this processor.

    On aarch64 from 0.20 on: older releases pin a torch whose aarch64 wheel on PyPI has no
    CUDA (METADATA of torch 2.10.0: NVIDIA's libraries for x86_64 alone; pytorch issue 160162).
    """
    arm = (machine.cpu.architecture or "").lower() in _ARM
    return not arm or release.min_cc_aarch64 is not None


def _limits(gpus: Sequence[Accelerator]) -> tuple[Reason, ...]:
    """What works only with something given up."""
    capabilities = [parse_capability(gpu.compute_capability) for gpu in gpus]
    if any(capability is not None and capability < (8, 0) for capability in capabilities):
        return (Reason(code="vllm.needs.turing"),)
    return ()
