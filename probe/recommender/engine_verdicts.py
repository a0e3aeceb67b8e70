"""Which engines this machine can run at all, with the reason: operating system, GPU, driver.

A first sieve from the machine's description alone; `probe preflight` checks the rest.
"""

import msgspec

from probe.catalog.engines import (
    EngineRelease,
    EngineSpec,
    all_engines,
    all_releases,
    builds_of,
    find_engine,
    release_of,
)
from probe.catalog.versions import version_key
from probe.engines.vllm_requirements import vllm_verdict
from probe.errors import FactValue
from probe.machine import Accelerator, Machine, OsFamily
from probe.messages.reason import Reason
from probe.recommender.pools import backend_of

OK, LIMITED, NO, UNKNOWN = "ok", "limited", "no", "unknown"
_ROLES_SHOWN = ("server", "desktop", "library")
_BACKEND_NAMES = {
    "cuda": "CUDA", "metal": "Metal", "rocm": "ROCm", "vulkan": "Vulkan", "sycl": "SYCL", "xpu": "Intel XPU",
}  # fmt: skip


class EngineVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """ok, limited, no or unknown for one engine, with what decided."""

    engine: str
    verdict: str
    reasons: tuple[Reason, ...]


def engine_verdicts(machine: Machine) -> tuple[EngineVerdict, ...]:
    """One verdict per engine of the catalog that serves GPUs or CPUs, in catalog order."""
    return tuple(
        _judge(engine, machine)
        for engine in all_engines()
        if engine.role in _ROLES_SHOWN and engine.backends != ("npu",)
    )


def engine_verdict(engine_id: str, machine: Machine) -> EngineVerdict:
    """The verdict on one engine of the catalog."""
    return _judge(find_engine(engine_id), machine)


def _judge(engine: EngineSpec, machine: Machine) -> EngineVerdict:
    system = _system_key(machine)
    if system is None and engine.os.get("windows") != "yes":
        return EngineVerdict(
            engine=engine.id, verdict=UNKNOWN, reasons=(Reason(code="answer.engine.os_unknown"),)
        )
    if engine.id == "mlx-lm" and not any(device.vendor == "apple" for device in machine.accelerators):
        return EngineVerdict(
            engine=engine.id, verdict=NO, reasons=(Reason(code="answer.engine.needs_apple"),)
        )
    stance = "yes" if system is None else engine.os.get(system, "unknown")
    devices = machine.usable_gpus()
    nvidia = [device for device in devices if device.vendor == "nvidia"]
    if engine.id == "vllm" and (stance != "yes" or not nvidia):
        needs = vllm_verdict(machine)  # the answer of `check --engine vllm`, too
        return EngineVerdict(engine=engine.id, verdict=needs.verdict, reasons=needs.causes)
    if stance in ("no", "unknown"):
        verdict = NO if stance == "no" else UNKNOWN
        return EngineVerdict(
            engine=engine.id, verdict=verdict, reasons=(Reason(code=_system_code(engine, system, stance)),)
        )
    if system == "macos" and engine.id == "sglang":
        code = "answer.engine.macos_source" if devices else "answer.engine.needs_apple"
        return EngineVerdict(
            engine=engine.id, verdict=LIMITED if devices else NO, reasons=(Reason(code=code),)
        )
    if not devices:
        return _without_gpu(engine)
    if nvidia and "cuda" in engine.backends:
        return _with_nvidia(engine, machine, nvidia)
    backends = {backend_of(device, machine) for device in devices}
    shared = sorted(backends & {*engine.backends, *(("xpu",) if "xpu" in engine.backends else ())})
    if shared:
        verdict = OK if stance == "yes" else LIMITED
        return EngineVerdict(
            engine=engine.id,
            verdict=verdict,
            reasons=(_runs_on(shared[0]),),
        )
    return _without_gpu(engine)


def _system_code(engine: EngineSpec, system: str | None, stance: str) -> str:
    """Why the operating system decides: what the engine wants instead, or that nobody says."""
    if stance == "unknown":
        return "answer.engine.system_unread"
    if system == "macos" and engine.backends == ("cuda",):
        return "answer.engine.no_macos"
    return "answer.engine.needs_linux" if engine.os.get("wsl2") == "yes" else "answer.engine.needs_linux_only"


def _runs_on(backend: str) -> Reason:
    name = _BACKEND_NAMES.get(backend, backend)
    return Reason(code="answer.engine.runs_on", values={"backend": name})


def _system_key(machine: Machine) -> str | None:
    system = machine.host.os
    if system.wsl:
        return "wsl2"
    return system.family.value if system.family is not None else None


def _without_gpu(engine: EngineSpec) -> EngineVerdict:
    if "gguf" in engine.formats and engine.formats["gguf"] == "yes":
        return EngineVerdict(
            engine=engine.id, verdict=OK, reasons=(Reason(code="answer.engine.gguf_cpu_only"),)
        )
    if "cpu" in engine.backends:
        return EngineVerdict(
            engine=engine.id, verdict=LIMITED, reasons=(Reason(code="answer.engine.gguf_cpu_only"),)
        )
    code = "answer.engine.no_nvidia" if engine.backends == ("cuda",) else "answer.engine.no_gpu"
    return EngineVerdict(engine=engine.id, verdict=NO, reasons=(Reason(code=code),))


def _with_nvidia(engine: EngineSpec, machine: Machine, devices: list[Accelerator]) -> EngineVerdict:
    lowest = _lowest_capability(devices)
    driver = machine.nvidia.driver_version if machine.nvidia else None
    builds = builds_of(engine.id, "cuda")
    if builds:
        needs = [(build.min_cc, build.min_driver_linux) for build in builds]
        found = [_unmet(needed, driver_needed, lowest, driver) for needed, driver_needed in needs]
    else:
        release = release_of(engine.id)
        found = [_unmet(*_floors(release, machine), lowest, driver)]
    best = min(found, key=len)
    if not best:
        return EngineVerdict(
            engine=engine.id,
            verdict=OK,
            reasons=(_runs_on("cuda"),),
        )
    if all(reason.code == "answer.engine.driver_unknown" for reason in best):
        return EngineVerdict(engine=engine.id, verdict=OK, reasons=tuple(best))
    unknown = "answer.engine.driver_unknown"  # beside what is known to be missing it says nothing
    best = [reason for reason in best if reason.code != unknown]
    older = _older_release(engine.id, lowest, driver, machine)
    if older is not None:
        instead = Reason(code="answer.engine.old_version_instead", values={"version": older.version})
        return EngineVerdict(engine=engine.id, verdict=LIMITED, reasons=(*best, instead))
    if engine.formats.get("gguf") == "yes":
        cpu = Reason(code="answer.engine.gguf_cpu_only")
        return EngineVerdict(engine=engine.id, verdict=LIMITED, reasons=(*best, cpu))
    return EngineVerdict(engine=engine.id, verdict=NO, reasons=tuple(best))


def _lowest_capability(devices: list[Accelerator]) -> str | None:
    known = [device.compute_capability for device in devices if device.compute_capability]
    return min(known, key=version_key) if known else None


def _floors(release: EngineRelease | None, machine: Machine) -> tuple[str | None, str | None]:
    if release is None:
        return None, None
    arm = machine.cpu.architecture in ("aarch64", "arm64")
    return (release.min_cc_aarch64 or release.min_cc) if arm else release.min_cc, release.min_driver_linux


def _unmet(
    capability_needed: str | None, driver_needed: str | None, capability: str | None, driver: str | None
) -> list[Reason]:
    found = []
    if capability_needed and capability and version_key(capability) < version_key(capability_needed):
        found.append(_reason("needs_nvidia_cc", needed=capability_needed, found=capability))
    if driver_needed and driver is None:
        found.append(_reason("driver_unknown", needed=driver_needed))
    elif driver_needed and driver and version_key(driver) < version_key(driver_needed):
        found.append(_reason("needs_driver", needed=driver_needed, found=driver))
    return found


def _reason(name: str, **values: FactValue) -> Reason:
    return Reason(code=f"answer.engine.{name}", values=values)


def _older_release(
    engine: str, capability: str | None, driver: str | None, machine: Machine
) -> EngineRelease | None:
    """The newest release whose floors this machine meets, when the newest one's are not met."""
    if machine.host.os.family not in (OsFamily.LINUX, None):
        return None
    rows = sorted(
        (row for row in all_releases() if row.engine == engine), key=lambda row: version_key(row.version)
    )
    for row in reversed(rows):
        unmet = _unmet(*_floors(row, machine), capability, driver)
        if all(reason.code == "answer.engine.driver_unknown" for reason in unmet):
            return row
    return None
