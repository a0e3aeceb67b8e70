"""Which release of an engine is judged: the asked one, the newest, or the newest that this driver can run."""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.catalog.engines import EngineBuild, EngineRelease, EngineSpec, all_releases, builds_of, release_of
from probe.catalog.versions import at_least, version_key
from probe.engines.vllm_budget import parse_capability
from probe.engines.vllm_formats import is_below
from probe.engines.vllm_requirements import driver_floor, driver_of, has_code_for, has_wheel
from probe.errors import InputError, UnknownNameError
from probe.machine import Accelerator, Machine, OsFamily

_TORCH_GLIBC: Final = "2.28"
_OLD_CARDS: Final = (7, 0)  # drivers after their last branch drop them
_PROCESSORS: Final = ("x86_64", "amd64", "aarch64", "arm64")
# Before JetPack 7 a Jetson's driver is its own: files built for other Arm machines do not run on it
# (ollama at fb307609 scripts/install.sh has files of its own for JetPack 5 and 6; vllm issues 23376, 15169).
_COMMON_ARM_DRIVER: Final = "580"


def newest_release(engine: EngineSpec, asked: str | None) -> EngineRelease | None:
    """The row of the asked version, else the newest one.

    Raises:
        InputError: the asked version is no version, or older than every row.
    """
    if asked is not None and not version_key(asked):
        raise InputError("preflight.version_malformed", version=asked, newest=engine.newest)
    row = release_of(engine.id, asked)
    if row is None:
        if asked is not None and release_of(engine.id) is not None:
            raise InputError("preflight.version_too_old", engine=engine.name, version=asked)
        if engine.python is not None:
            return EngineRelease(engine=engine.id, version=engine.newest or "", python=engine.python,
                                 source=engine.source, retrieved=engine.retrieved)  # fmt: skip
        return None
    return row if asked is None else msgspec.structs.replace(row, version=asked)


def of_build(newest: EngineRelease, build: str) -> EngineRelease:
    """The release with the needs of another build of it (`cpu`, `rocm`, `xpu`).

    Raises:
        UnknownNameError: the engine has no such build.
    """
    rows = builds_of(newest.engine)
    row = next((one for one in rows if one.id == build), None)
    if row is None:
        raise UnknownNameError("preflight.build_unknown", build, tuple(one.id for one in rows))
    return msgspec.structs.replace(
        newest,
        python=row.python or newest.python,
        glibc_min=row.glibc_min or newest.glibc_min,
        cuda=None,
        min_driver_linux=None,
    )


def fitting_release(
    newest: EngineRelease | None, machine: Machine, gpus: Sequence[Accelerator]
) -> EngineRelease | None:
    """The newest release that the driver runs, where the newest of all only fails on the driver.

    A GPU for which the newest holds no code is not served by an older release here:
    that one stands among the alternatives.
    """
    driver = driver_of(machine)
    if newest is None or not gpus or driver is None or at_least(driver, driver_floor(newest, machine)):
        return newest
    if not all(has_code_for(newest, machine, gpu) for gpu in gpus):
        return newest
    rows = sorted(
        (row for row in all_releases() if row.engine == newest.engine),
        key=lambda row: version_key(row.version),
        reverse=True,
    )
    return next((row for row in rows if runs_here(row, machine, gpus)), newest)


def runs_here(row: EngineRelease, machine: Machine, gpus: Sequence[Accelerator]) -> bool:
    """Driver, glibc and compiled code of one release; what is not known does not stand against it."""
    if at_least(driver_of(machine), driver_floor(row, machine)) is not True:
        return False
    if not has_wheel(row, machine):
        return False
    if at_least(machine.host.os.glibc, row.glibc_min or _TORCH_GLIBC) is False:
        return False
    return all(has_code_for(row, machine, gpu) for gpu in gpus)


def is_jetson(machine: Machine) -> bool:
    """A Jetson whose driver is not yet that of other Arm machines."""
    own = (machine.host.os.kernel or "").endswith("tegra") or any(
        device.vendor == "nvidia" and ("nvgpu" in device.name or "jetson" in device.name.lower())
        for device in machine.accelerators
    )
    return own and at_least(driver_of(machine), _COMMON_ARM_DRIVER) is not True


def has_builds(machine: Machine) -> bool:
    """Whether ready-made files for this processor exist; not known: they do."""
    return (machine.cpu.architecture or _PROCESSORS[0]).lower() in _PROCESSORS


def fitting_build(engine: str, machine: Machine) -> EngineBuild | None:
    """The official build to download: CUDA where driver and generation allow, else by vendor."""
    if not has_builds(machine) or is_jetson(machine):
        return None
    gpus = machine.usable_gpus() if machine.host.os.wsl != 1 else ()  # WSL1 hands no GPU over
    nvidia = [device for device in gpus if device.vendor == "nvidia"]
    if nvidia:
        rows = sorted(builds_of(engine, "cuda"), key=lambda row: version_key(row.cuda or "0"), reverse=True)
        found = next((row for row in rows if _build_runs(row, machine, nvidia)), None)
        if found is not None:
            return found
    wanted = {"amd": ("rocm", "vulkan"), "intel": ("sycl", "vulkan"), "apple": ("metal", "vulkan")}
    names = [name for device in gpus for name in wanted.get(device.vendor, ("vulkan",))]
    for name in (*names, "cpu"):
        for row in builds_of(engine, name):
            if _system(machine) in row.os and _gfx_fits(row, gpus):
                return row
    return None


def _system(machine: Machine) -> str:
    family = machine.host.os.family
    return (family or OsFamily.LINUX).value


def _gfx_fits(row: EngineBuild, gpus: Sequence[Accelerator]) -> bool:
    known = [device.gfx_target for device in gpus if device.gfx_target]
    return not row.gfx_targets or not known or any(name in row.gfx_targets for name in known)


def _build_runs(row: EngineBuild, machine: Machine, gpus: Sequence[Accelerator]) -> bool:
    """A CUDA build on these cards and this driver; a driver that is not known does not stand against it."""
    system = _system(machine)
    if system not in row.os:
        return False
    windows = system == "windows"
    driver = driver_of(machine)
    floor = row.min_driver_windows if windows else row.min_driver_linux
    pairs = [parse_capability(gpu.compute_capability) for gpu in gpus]
    if any(pair is not None and is_below(pair, row.min_cc) for pair in pairs):
        return False
    oldest = min((pair for pair in pairs if pair is not None), default=None)
    if oldest is not None and oldest < _OLD_CARDS and row.min_driver_linux_old_gpus and not windows:
        floor = row.min_driver_linux_old_gpus
    # The Windows CUDA 12 build holds no code for 12.0 (catalogs/engines/engines.json).
    if windows and row.windows_cuda and any(pair is not None and pair >= (12, 0) for pair in pairs):
        return False
    return at_least(driver, floor) is not False


def release_of_build(row: EngineBuild, version: str) -> EngineRelease:
    """The build's needs in the form that the checks read."""
    return EngineRelease(
        engine=row.engine,
        version=version,
        cuda=row.cuda,
        min_cc=row.min_cc,
        min_driver_linux=row.min_driver_linux,
        source=row.source,
        retrieved=row.retrieved,
    )
