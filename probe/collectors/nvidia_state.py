"""Why an NVIDIA card does not compute: decided from bus, driver files, NVML's answer, container and WSL."""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.collectors.facts import NvidiaFiles, PciDevice
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import OperatingSystem

NVML: Final = "nvml"
_OPEN_DRIVERS: Final = frozenset({"nouveau", "nova", "nova_core", "nova-core"})
_PASSED_ON: Final = frozenset({"vfio-pci", "pci-stub", "xen-pciback"})


def nvml_failure(attempts: Sequence[Attempt], system: OperatingSystem) -> str | None:
    """The code with which NVML as a whole failed; None when it answered."""
    for attempt in attempts:
        if attempt.source == NVML and attempt.result is not AttemptResult.OK:
            if attempt.result is AttemptResult.TIMEOUT:
                return "nvml_timeout"
            code = attempt.code or "nvml_error"
            return "wsl_access_blocked" if code == "blocked_by_system" and system.wsl else code
    return None


def bus_code(device: PciDevice, files: NvidiaFiles, failure: str | None, system: OperatingSystem) -> str:
    """Why a card that is on the bus is not among NVML's."""
    if device.driver in _OPEN_DRIVERS:
        return "nouveau"
    if device.driver in _PASSED_ON:
        return "given_to_virtual_machine"
    handed_in = any(node.startswith("nvidia") for node in files.device_nodes)
    if system.container and device.driver and not handed_in:
        return "container_without_gpu"  # the bus shows the host's cards to every container
    if device.driver is None:
        installed = files.library_version or failure == "module_not_loaded"
        return "module_not_loaded" if installed and not system.container else "no_driver"
    if failure is None:
        return "container_without_gpu" if system.container else "gpu_not_started"
    if failure == "library_not_found" and system.container:
        return "container_without_gpu"
    return failure


def explained(
    attempt: Attempt, files: NvidiaFiles, failure: str | None, *, has_card: bool, bus_known: bool
) -> Attempt:
    """NVML's attempt with what the files add: both versions of a mismatch, or that there is no card."""
    if attempt.source != NVML:
        return attempt
    if attempt.result is AttemptResult.OK:
        return msgspec.structs.replace(attempt, code=None) if has_card else attempt
    detail, code = attempt.detail, failure or attempt.code
    if code == "driver_mismatch":
        versions = (
            f"kernel module {files.kernel_module_version or 'unknown'}",
            f"library {files.library_version or 'unknown'}",
        )
        detail = f"{detail}: {', '.join(versions)}"
    if not has_card:
        if code == "library_not_found":
            code = None  # no card and no driver: nothing is wrong
        elif bus_known and code in ("module_not_loaded", "driver_unknown_error", "nvml_error"):
            code = "driver_without_card"
    return msgspec.structs.replace(attempt, detail=detail, code=code)
