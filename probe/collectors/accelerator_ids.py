"""Which devices on the PCI bus are NPUs or accelerator cards: by maker, class and driver.

Names, figures and the software that serves LLMs on them stand in catalogs/devices/npus.
"""

from typing import Final

from probe.collectors.facts import PciDevice
from probe.machine.accelerator import AcceleratorKind

# PCI vendor ids of makers whose cards on the bus are accelerators (pci.ids of 2026-08-22).
MAKERS: Final = {
    "1e52": "tenstorrent",
    "1eff": "rebellions",
    "1f56": "sapeon",
    "1ed2": "furiosa",
    "1da3": "intel",  # Habana Gaudi
    "1e60": "hailo",
    "209f": "mobilint",
    "1ff4": "deepx",
    "1ed5": "moore_threads",
    "9999": "metax",
    "1e3e": "iluvatar",
    "1e36": "enflame",
    "cabc": "cambricon",
    "1de0": "groq",
    "1f9d": "axelera",
    "1f82": "d-matrix",
    "1d95": "graphcore",
    "1fe9": "memryx",
    "19e5": "huawei",
    "1ac1": "google",
    "1ae0": "google",
    "17cb": "qualcomm",
}
# NPUs inside processors: one function among dozens of the same maker.
_NPUS: Final = {
    "8086:7d1d": "intel",
    "8086:ad1d": "intel",
    "8086:643e": "intel",
    "8086:b03e": "intel",
    "1022:1502": "amd",
    "1022:17f0": "amd",
}
# Their cards are display devices; those of the others are servers' remote consoles (Huawei iBMC).
_GRAPHICS_MAKERS: Final = frozenset({"1ed5", "9999", "1e3e"})
_NPU_DRIVERS: Final = {"intel_vpu": "intel", "amdxdna": "amd"}
# Makers of programmable logic and of compression engines under the same class codes.
_NOT_FOR_MODELS: Final = frozenset({"8086", "10ee", "1172", "1022", "1d0f", "1af4"})
# Signal processing, system peripheral, unassigned: thousands of parts, XDNA, Coral and TPU among them.
ODD_CLASSES: Final = ("0x1180", "0x0880", "0x00ff", "0xff00")
_ODD_MAKERS: Final = frozenset({"1ac1", "1ae0", "1e60"})


def is_odd_accelerator(vendor: str, device: str) -> bool:
    """Whether a device of one of ODD_CLASSES is an accelerator, by its ids alone."""
    return f"{vendor}:{device}" in _NPUS or vendor in _ODD_MAKERS


def accelerator_maker(device: PciDevice) -> tuple[AcceleratorKind, str] | None:
    """Kind and maker of an NPU or card; None for everything else, GPUs too."""
    pci_id = f"{device.vendor}:{device.device}"
    npu = _NPUS.get(pci_id) or _NPU_DRIVERS.get(device.driver or "")
    if npu:
        return AcceleratorKind.NPU, npu
    maker = MAKERS.get(device.vendor)
    if maker and (device.vendor in _GRAPHICS_MAKERS or not device.class_code.startswith("03")):
        return AcceleratorKind.CARD, maker
    if device.class_code.startswith("12") and device.vendor not in (*_NOT_FOR_MODELS, "1002", "10de"):
        return AcceleratorKind.CARD, "other"
    return None
