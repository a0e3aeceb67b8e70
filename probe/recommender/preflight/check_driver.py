"""Checks of the NVIDIA driver: there, new enough, loaded, of one version, not kept away."""

from typing import Final

from probe.catalog.cuda import driver_cuda
from probe.catalog.versions import at_least, version_key
from probe.engines.vllm_requirements import driver_floor, driver_of
from probe.recommender.preflight.situation import Check, Result, Situation, check, each, passed, unknown

_OLDEST_MODULE_FOR_OPEN: Final = (7, 5)  # open kernel modules begin with Turing (catalogs/engines/cuda.json)


def judge_gpu_present(situation: Situation) -> Check:
    """A usable NVIDIA GPU; one that is there but kept from us is named with the reason."""
    usable, there = situation.usable, situation.nvidia
    if usable:
        return passed("gpu_present", each([device.name for device in usable]))
    if there:
        device = there[0]
        seen = f"{device.name}: {device.state_reason or device.state.value}"
        return check("gpu_present", Result.FAIL, seen, fix="fix_unusable", name=device.name)
    others = [device.name for device in situation.machine.usable_gpus()]
    return check("gpu_present", Result.FAIL, each(others) or "0", fix="fix")


def judge_driver(situation: Situation) -> Check | None:
    """At least what the wheel's CUDA asks; an older driver with an older release is a warning."""
    if not situation.nvidia or situation.release is None or situation.newest is None:
        return None
    found = driver_of(situation.machine)
    least = driver_floor(situation.newest, situation.machine)
    values = {"need": least, "version": situation.release.version}
    enough = at_least(found, least)
    if enough is None:
        return unknown("driver", **values)
    if enough:
        return passed("driver", found, **values)
    if at_least(found, driver_floor(situation.release, situation.machine)):
        return check("driver", Result.WARN, found, fix="fix_older", **values)
    return check("driver", Result.FAIL, found, fix="fix", **values)


def judge_driver_cuda(situation: Situation) -> Check | None:
    """The highest CUDA the driver runs, by NVML or else by its branch."""
    release, newest = situation.release, situation.newest
    if not situation.nvidia or release is None or newest is None or not release.cuda or not newest.cuda:
        return None
    nvidia = situation.machine.nvidia
    driver = driver_of(situation.machine)
    found = (nvidia.cuda_driver_version if nvidia else None) or (driver_cuda(driver) if driver else None)
    values = {"need": newest.cuda, "version": release.version}
    if found is None:
        return unknown("driver_cuda", **values)
    major = version_key(found)[0]
    if major >= version_key(newest.cuda)[0]:
        return passed("driver_cuda", found, **values)
    if major >= version_key(release.cuda)[0]:
        return check("driver_cuda", Result.WARN, found, fix="fix_older", **values)
    return check("driver_cuda", Result.FAIL, found, fix="fix", **values)


def judge_driver_mismatch(situation: Situation) -> Check | None:
    """Kernel module and library differ after an update without a restart."""
    if not situation.nvidia:
        return None
    nvidia = situation.machine.nvidia
    module = nvidia.kernel_module_version if nvidia else None
    library = nvidia.library_version if nvidia else None
    if situation.state_reason("driver_mismatch") is not None:
        return check("driver_mismatch", Result.FAIL, f"{module or '?'} / {library or '?'}", fix="fix")
    if module and library and version_key(module) != version_key(library):
        result = Result.WARN if situation.usable else Result.FAIL
        return check("driver_mismatch", result, f"{module} / {library}", fix="fix")
    if situation.usable and situation.driver_read:
        return passed("driver_mismatch", module or driver_of(situation.machine))
    return unknown("driver_mismatch")


def judge_nouveau(situation: Situation) -> Check | None:
    """The open driver holds the card."""
    if not situation.nvidia or situation.windows:
        return None
    modules = situation.server.modules if situation.server else None
    if situation.state_reason("nouveau") is not None:
        return check("nouveau", Result.FAIL, "nouveau", fix="fix")
    if situation.usable and situation.driver_read:
        return passed("nouveau", "-")
    if modules is None:
        return unknown("nouveau")
    loaded = [name for name in modules if name.startswith("nov") or name == "nouveau"]
    if loaded and "nvidia" not in modules:
        return check("nouveau", Result.FAIL, loaded[0], fix="fix")
    return passed("nouveau", "-")


def judge_nvidia_module(situation: Situation) -> Check | None:
    """NVIDIA's kernel modules are loaded; CUDA needs nvidia_uvm too."""
    if not situation.nvidia or situation.windows:
        return None
    modules = situation.server.modules if situation.server else None
    if situation.state_reason("module_not_loaded", "no_driver") is not None:
        return check("nvidia_module", Result.FAIL, "-", fix="fix")
    if situation.machine.host.os.wsl == 2:
        return passed("nvidia_module", "dxgkrnl")
    if modules and "nvidia" in modules and "nvidia_uvm" not in modules:
        return check("nvidia_module", Result.WARN, "nvidia", fix="fix_uvm")
    if situation.usable and situation.driver_read:
        return passed("nvidia_module", "nvidia")
    return unknown("nvidia_module")


def judge_secure_boot(situation: Situation) -> Check | None:
    """Secure Boot may refuse an unsigned module."""
    if not situation.nvidia or not situation.linux or situation.machine.host.os.wsl:
        return None
    on = situation.server.secure_boot if situation.server else None
    if on is None:
        return unknown("secure_boot")
    if on and not situation.usable:
        return check("secure_boot", Result.WARN, "on", fix="fix")
    return passed("secure_boot", "on" if on else "off")


def judge_kernel_module_type(situation: Situation) -> Check | None:
    """Cards before Turing need the proprietary module, Blackwell and Grace the open one."""
    if not situation.nvidia or not situation.linux or situation.machine.host.os.wsl:
        return None
    is_open = situation.server.kernel_module_open if situation.server else None
    seen = None if is_open is None else ("open" if is_open else "proprietary")
    if situation.usable and situation.driver_read:
        return passed("kernel_module_type", seen or "nvidia")
    lowest = situation.lowest_capability
    if is_open is None or lowest is None:
        return unknown("kernel_module_type")
    if is_open and lowest < _OLDEST_MODULE_FOR_OPEN:
        return check("kernel_module_type", Result.FAIL, seen, fix="fix")
    return passed("kernel_module_type", seen)


def judge_fabric_manager(situation: Situation) -> Check | None:
    """NVSwitch machines need its manager, or CUDA does not start."""
    if len(situation.nvidia) < 2:
        return None
    if situation.state_reason("fabric_manager_missing") is not None:
        return check("fabric_manager", Result.FAIL, "-", fix="fix")
    server = situation.server
    if server is None or server.nvswitch is None:
        return unknown("fabric_manager")
    if not server.nvswitch:
        return passed("fabric_manager", "-")
    if server.fabric_manager is None:
        return unknown("fabric_manager")
    if server.fabric_manager:
        return passed("fabric_manager", "nvidia-fabricmanager")
    return check("fabric_manager", Result.FAIL, "NVSwitch", fix="fix")


def judge_env_cuda(situation: Situation) -> Check:
    """Variables that hide cards or put another CUDA before the wheel's own."""
    variables = situation.machine.software.environment
    mask = variables.get("CUDA_VISIBLE_DEVICES")
    if mask is not None and mask.strip() in ("", "-1"):
        return check("env_cuda", Result.WARN, f"CUDA_VISIBLE_DEVICES={mask}", fix="fix_mask")
    if situation.server is None:
        return unknown("env_cuda") if mask is None else passed("env_cuda", f"CUDA_VISIBLE_DEVICES={mask}")
    path = situation.server.library_path or ""
    if "cuda" in path.lower() or "nccl" in path.lower():
        return check("env_cuda", Result.WARN, "LD_LIBRARY_PATH", fix="fix_library")
    return passed("env_cuda", "-" if mask is None else f"CUDA_VISIBLE_DEVICES={mask}")
