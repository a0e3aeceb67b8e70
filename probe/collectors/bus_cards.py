"""Cards that only the PCI bus knows: what can be said of them without their maker's help."""

from typing import Final

from probe.collectors.accelerator_ids import accelerator_maker
from probe.collectors.facts import PciDevice
from probe.collectors.pci import NOT_GPUS
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState, PcieLink

_VENDORS: Final = {"10de": "nvidia", "1002": "amd", "8086": "intel"}
_TITLES: Final = {
    "nvidia": "NVIDIA",
    "amd": "AMD",
    "furiosa": "FuriosaAI",
    "deepx": "DEEPX",
    "metax": "MetaX",
    "memryx": "MemryX",
    "moore_threads": "Moore Threads",
    "other": "PCI",
}
_DISPLAY: Final = "03"
# Instinct MI300 and later are `processing accelerators`, like NPUs.
_ACCELERATOR: Final = "12"
# Kernel drivers under which a card computes; what a maker's own collector says counts more.
_COMPUTING: Final = frozenset({"amdgpu", "i915", "xe"})
_PASSED_ON: Final = frozenset({"vfio-pci", "pci-stub", "xen-pciback"})


def is_card(device: PciDevice) -> bool:
    """Whether a device on the bus is a GPU, an NPU or an accelerator card."""
    return _is_gpu(device) or accelerator_maker(device) is not None


def bus_row(device: PciDevice) -> Accelerator:
    """A card by the bus alone, its PCI id in place of a name."""
    accelerator = accelerator_maker(device)
    if accelerator is None:
        vendor = _VENDORS.get(device.vendor, "other")
        kind = AcceleratorKind.INTEGRATED if device.in_processor else AcceleratorKind.DISCRETE
    else:
        kind, vendor = accelerator
    link = None
    if device.max_link_generation or device.max_link_width:
        link = PcieLink(max_generation=device.max_link_generation, max_width=device.max_link_width)
    shared = device.in_processor or kind is AcceleratorKind.NPU
    return Accelerator(
        index=0,
        kind=kind,
        vendor=vendor,
        name=f"{_TITLES.get(vendor, vendor.title())} {device.vendor}:{device.device}",
        state=AcceleratorState.NO_DRIVER,
        pci_address=device.address,
        pci_id=f"{device.vendor}:{device.device}",
        memory_shared=shared,
        numa_node=device.numa_node,
        pcie=None if shared else link,
    )


def driver_code(device: PciDevice) -> str | None:
    """Why a card of another maker than NVIDIA does not compute, by the kernel driver bound to it."""
    if device.driver in _PASSED_ON:
        return "given_to_virtual_machine"
    if device.driver is None:
        return "no_driver"
    if _is_gpu(device) and device.driver not in _COMPUTING:
        return "old_kernel_driver"
    return None


def _is_gpu(device: PciDevice) -> bool:
    if device.vendor in NOT_GPUS or device.vendor not in _VENDORS:
        return False
    if device.class_code.startswith(_DISPLAY):
        return True
    return device.class_code.startswith(_ACCELERATOR) and device.vendor in ("1002", "10de")
