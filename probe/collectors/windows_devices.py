r"""Devices of a Windows machine as its registry describes them, and which of them are there now.

`Enum\PCI\...` holds every device that was ever plugged in, and the driver's own
key (`Control\Class\{...}\0001`) outlives the card. What counts is the list of
present devices; only where Windows does not give one, everything enumerated is taken.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from probe.collectors.answers import Failure, RegistryValue
from probe.collectors.host import Host

DISPLAY_CLASS: Final = "{4d36e968-e325-11ce-bfc1-08002be10318}"
COMPUTE_CLASS: Final = "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}"  # NPUs: devguid.h, ComputeAccelerator
ENUM_KEY: Final = r"HKLM\SYSTEM\CurrentControlSet\Enum"
CLASS_KEY: Final = r"HKLM\SYSTEM\CurrentControlSet\Control\Class"
# Vendors whose devices compute even where no driver gives them a class: NVIDIA and AMD GPUs; cards of
# Tenstorrent, Hailo, FuriosaAI, Rebellions, Axelera, DEEPX, Mobilint.
_ASKED: Final = frozenset({"10de", "1002", "1e52", "1e60", "1ed2", "1eff", "1f9d", "1ff4", "209f"})
_COMPUTING: Final = ("03", "12", "0b40")
_PCI_ID: Final = re.compile(
    r"VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})(?:&SUBSYS_([0-9A-F]{4})([0-9A-F]{4}))?", re.I
)
_CLASS_CODE: Final = re.compile(r"CC_([0-9A-F]{6})", re.I)
_PLACE: Final = re.compile(r"\((\d+),(\d+),(\d+)\)\s*$")
_PLACE_IN_WORDS: Final = re.compile(r"(\d+)\D+(\d+)\D+(\d+)\s*$")


class DeviceNode(msgspec.Struct, frozen=True, kw_only=True):
    """One device. Ids are hexadecimal in lower case, without 0x."""

    instance: str  # PCI\VEN_10DE&DEV_2684&SUBSYS_167C10DE&REV_A1\4&2283F625&0&0019
    vendor: str | None = None
    device: str | None = None
    subsystem: str | None = None  # 10de:167c
    class_guid: str | None = None
    driver_key: str | None = None  # {4d36e968-...}\0001
    class_code: str | None = None  # 030000
    address: str | None = None  # 0000:01:00.0
    description: str | None = None
    service: str | None = None  # nvlddmkm

    @property
    def computes(self) -> bool:
        """Whether it is a display adapter, an NPU or an accelerator card."""
        if self.class_guid in (DISPLAY_CLASS, COMPUTE_CLASS):
            return True
        return self.class_code is not None and self.class_code.startswith(_COMPUTING)


def read_nodes(host: Host) -> tuple[DeviceNode, ...] | Failure:
    """The present display adapters, NPUs and cards; a Failure where the registry does not say."""
    present = present_ids(host)
    ids = _enumerated(host) if present is None else present
    if isinstance(ids, Failure):
        return ids
    nodes = (_read(host, instance) for instance in ids)
    return tuple(node for node in nodes if node is not None and node.computes)


def present_ids(host: Host) -> list[str] | None:
    """Instance ids worth reading; None where Windows lists no device at all (sandboxes, Wine)."""
    display = _listed(host, DISPLAY_CLASS)
    compute = _listed(host, COMPUTE_CLASS)
    bus = _listed(host, "PCI")
    if not (display or compute or bus):
        return None
    asked = [instance for instance in bus if (parse_hardware_id(instance)[0] or "") in _ASKED]
    return list({instance.upper(): instance for instance in (*display, *compute, *asked)}.values())


def shares_slot_with_processor(host: Host, node: DeviceNode) -> bool:
    """Whether an AMD GPU is part of the processor: its slot also holds functions of vendor 1022."""
    if node.address is None:
        return False
    slot = node.address.rpartition(".")[0]
    listed = _listed(host, "PCI")
    ids: Iterable[str] | Failure = listed or _enumerated(host)
    if isinstance(ids, Failure):
        return False
    for instance in ids:
        if parse_hardware_id(instance)[0] == "1022":
            other = _read(host, instance)
            if other is not None and other.address and other.address.rpartition(".")[0] == slot:
                return True
    return False


def _listed(host: Host, wanted: str) -> Sequence[str]:
    answer = host.native("present_devices", wanted)
    return [str(name) for name in answer] if isinstance(answer, list | tuple) else []


def _enumerated(host: Host) -> list[str] | Failure:
    keys = host.registry_keys(f"{ENUM_KEY}\\PCI")
    if isinstance(keys, Failure):
        return keys
    ids: list[str] = []
    for key in keys:
        instances = host.registry_keys(f"{ENUM_KEY}\\PCI\\{key}")
        if not isinstance(instances, Failure):
            ids += [f"PCI\\{key}\\{instance}" for instance in instances]
    return ids


def _read(host: Host, instance: str) -> DeviceNode | None:
    values = host.registry_values(f"{ENUM_KEY}\\{instance}")
    return None if isinstance(values, Failure) else parse_node(instance, values)


def parse_node(instance: str, values: Mapping[str, RegistryValue]) -> DeviceNode:
    """A device by the values of its key under Enum."""
    vendor, device, subsystem = parse_hardware_id(instance)
    ids = " ".join(_texts(values, "HardwareID") + _texts(values, "CompatibleIDs"))
    code = _CLASS_CODE.search(ids)
    guid = str(values.get("ClassGUID", "")).lower()
    driver = str(values.get("Driver", ""))
    return DeviceNode(
        instance=instance,
        vendor=vendor,
        device=device,
        subsystem=subsystem,
        class_guid=guid or None,
        driver_key=driver or None,
        class_code=code[1].lower() if code else None,
        address=parse_location(values.get("LocationInformation")),
        description=parse_indirect_text(values.get("DeviceDesc")),
        service=str(values.get("Service", "")) or None,
    )


def parse_hardware_id(text: str) -> tuple[str | None, str | None, str | None]:
    r"""Vendor, device and `vendor:device` of the board's maker in `PCI\VEN_10DE&DEV_2684&SUBSYS_167C10DE`."""
    if text[:4].upper() != "PCI\\":
        return None, None, None
    found = _PCI_ID.search(text)
    if not found:
        return None, None, None
    vendor, device, board, maker = (part.lower() if part else None for part in found.groups())
    return vendor, device, f"{maker}:{board}" if maker and board else None


def parse_location(text: RegistryValue | None) -> str | None:
    """`0000:01:00.0` of `@System32\\drivers\\pci.sys,#65536;PCI bus %1, device %2, function %3;(1,0,0)`.

    Older and translated texts have the same three numbers in words. Windows
    counts a further PCI segment as bus numbers from 256 on.
    """
    if not isinstance(text, str):
        return None
    found = _PLACE.search(text) or _PLACE_IN_WORDS.search(text)
    if not found:
        return None
    bus, slot, function = (int(part) for part in found.groups())
    if slot > 31 or function > 7 or bus > 0xFFFFFF:
        return None
    return f"{bus >> 8:04x}:{bus & 0xFF:02x}:{slot:02x}.{function}"


def parse_indirect_text(value: RegistryValue | None) -> str | None:
    """The readable end of `@oem12.inf,%nvidia_dev.2684%;NVIDIA GeForce RTX 4090`."""
    text = str(value or "").rpartition(";")[2].strip()
    return None if not text or text.startswith("@") else text


def _texts(values: Mapping[str, RegistryValue], name: str) -> list[str]:
    value = values.get(name)
    return list(value) if isinstance(value, tuple) else [str(value)] if value else []
