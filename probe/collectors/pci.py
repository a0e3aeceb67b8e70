"""Cards on the PCI bus, driver or not. Needs no lspci and no privilege."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from probe.collectors.accelerator_ids import ODD_CLASSES, is_odd_accelerator
from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, PciDevice, ask, int_or_none
from probe.collectors.host import Host

BUS: Final = "/sys/bus/pci/devices"
# Display, processing accelerator, co-processor: base classes of the PCI Code and ID Assignment.
_CLASSES: Final = ("0x03", "0x12", "0x0b40")
# Pictures for a server's remote console or a virtual machine's window: nothing computes on them.
NOT_GPUS: Final = frozenset(
    {
        "1a03",  # ASPEED, board management
        "102b",  # Matrox, board management
        "1414",  # Microsoft Hyper-V
        "15ad",  # VMware
        "1af4",  # virtio
        "1b36",  # QXL
        "1234",  # QEMU standard VGA
        "1013",  # Cirrus, QEMU's old card
        "80ee",  # VirtualBox
        "1ab8",  # Parallels
        "5853",  # Xen
    }
)
_GENERATIONS: Final = {"2.5": 1, "5.0": 2, "5": 2, "8.0": 3, "8": 3, "16.0": 4, "32.0": 5, "64.0": 6}


def collect(host: Host) -> Facts:
    """Every display device and accelerator on the bus; the link's limits are asked last of each."""
    if host.platform().system != "linux":
        return
    names, attempt = ask(host, BUS, lambda: host.list_directory(BUS))
    yield attempt
    if isinstance(names, Failure):
        return
    for address in names:
        # Slots hold few display devices, so only the class is read of the other hundreds.
        folder = f"{BUS}/{address}"
        class_text = host.read_text(f"{folder}/class")
        if isinstance(class_text, Failure) or not class_text.startswith((*_CLASSES, *ODD_CLASSES)):
            continue
        if class_text.startswith(ODD_CLASSES) and not _is_odd_accelerator(host, folder):
            continue
        device = _read_device(host, folder, normal_address(address), class_text.strip()[2:])
        if device is None:
            continue
        if device.vendor in ("1002", "8086"):
            inside = in_processor(host, device.vendor, device.address, names)
            device = msgspec.structs.replace(device, in_processor=inside)
        yield Found(device, BUS)
        yield Found(_with_link(host, folder, device), BUS)


def normal_address(text: str) -> str:
    """`0000:01:00.0` for every spelling; NVML writes the domain with eight digits, Windows none."""
    found = re.fullmatch(r"(?:([0-9a-f]+):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})[.:]([0-7])", text.strip().lower())
    if not found:
        return text.strip().lower()
    domain = int(found[1] or "0", 16)
    return f"{domain:04x}:{int(found[2], 16):02x}:{int(found[3], 16):02x}.{found[4]}"


def parse_link_speed(text: str) -> int | None:
    """PCIe generation of `16.0 GT/s PCIe`; None for `Unknown`."""
    return _GENERATIONS.get(text.split(" ", 1)[0])


def _read_device(host: Host, folder: str, address: str, class_code: str) -> PciDevice | None:
    vendor, device = _hex(host, f"{folder}/vendor"), _hex(host, f"{folder}/device")
    if vendor is None or device is None:
        return None
    maker, model = _hex(host, f"{folder}/subsystem_vendor"), _hex(host, f"{folder}/subsystem_device")
    driver = host.read_link(f"{folder}/driver")
    node = int_or_none(host.read_text(f"{folder}/numa_node"))
    boot = int_or_none(host.read_text(f"{folder}/boot_vga"))
    return PciDevice(
        address=address,
        vendor=vendor,
        device=device,
        subsystem=f"{maker}:{model}" if maker and model else None,
        class_code=class_code,
        driver=None if isinstance(driver, Failure) else driver.rpartition("/")[2],
        numa_node=node if node is not None and node >= 0 else None,
        boot_display=None if boot is None else boot == 1,
    )


def in_processor(host: Host, vendor: str, address: str, names: Sequence[str]) -> bool:
    """Whether a GPU is part of the processor; `names` are all devices of the bus.

    Intel's sits at 00:02.0. AMD's shares its slot with the processor's own crypto, USB
    and audio functions (vendor 1022); a card's slot holds functions of vendor 1002 alone.
    """
    if vendor == "8086":
        return address.endswith(":00:02.0")
    slot = address.rpartition(".")[0]
    others = [name for name in names if normal_address(name).startswith(slot + ".")]
    return any(_hex(host, f"{BUS}/{name}/vendor") == "1022" for name in others)


def _is_odd_accelerator(host: Host, folder: str) -> bool:
    vendor, device = _hex(host, f"{folder}/vendor"), _hex(host, f"{folder}/device")
    return vendor is not None and device is not None and is_odd_accelerator(vendor, device)


def _with_link(host: Host, folder: str, device: PciDevice) -> PciDevice:
    speed = host.read_text(f"{folder}/max_link_speed")
    width = int_or_none(host.read_text(f"{folder}/max_link_width"))
    return msgspec.structs.replace(
        device,
        max_link_generation=None if isinstance(speed, Failure) else parse_link_speed(speed.strip()),
        max_link_width=width if width and width < 64 else None,  # 255 stands for unknown
    )


def _hex(host: Host, path: str) -> str | None:
    number = int_or_none(host.read_text(path), 16)
    return None if number is None else f"{number:04x}"
