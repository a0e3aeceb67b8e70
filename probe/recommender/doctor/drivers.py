"""NVIDIA drivers that work, but are too old for what people install today."""

from probe.catalog.cuda import CudaFit, cuda_fit, minimum_driver
from probe.catalog.versions import at_least
from probe.errors import FactValue
from probe.machine import Machine, OsFamily
from probe.recommender.doctor.finding import Finding, Severity

_CUDA_13_CAPABILITY = "7.5"


def driver_findings(machine: Machine) -> list[Finding]:
    """At most one: too old for CUDA 12, else too old for CUDA 13 where the GPU could use it."""
    driver = machine.nvidia.driver_version if machine.nvidia else None
    # A Jetson's driver comes with its system and is numbered otherwise; it is on no PCI bus.
    nvidia = [
        device
        for device in machine.accelerators
        if device.vendor == "nvidia" and (device.pci_address or not device.memory_shared)
    ]
    if driver is None or not nvidia:
        return []
    # Under WSL the driver is Windows', and so is its number.
    system = OsFamily.WINDOWS if machine.host.os.wsl else machine.host.os.family
    values: dict[str, FactValue] = {"driver": driver, "needed": minimum_driver(12, system)}
    if cuda_fit(driver, "12", system) is CudaFit.TOO_OLD:
        return [Finding(id="driver_too_old", severity=Severity.WARNING, values=values)]
    able = [device for device in nvidia if at_least(device.compute_capability, _CUDA_13_CAPABILITY)]
    if able and cuda_fit(driver, "13", system) is CudaFit.TOO_OLD:
        values = {"driver": driver, "needed": minimum_driver(13, system)}
        return [Finding(id="driver_below_cuda_13", severity=Severity.NOTICE, values=values)]
    return []
