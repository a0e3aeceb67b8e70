"""Memory modules: from the firmware's table, or from what udev read of it for everybody."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask, text_or_none
from probe.collectors.host import Host
from probe.collectors.smbios import (
    TYPES,
    MemoryDevice,
    Smbios,
    is_virtual,
    parse_table,
    parse_windows_table,
    plain_text,
)
from probe.collectors.smbios_channels import populated_channels
from probe.collectors.smbios_speed import module_rates
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.system import Cpu, Memory, MemoryModule, Power

TABLE: Final = "/sys/firmware/dmi/tables/DMI"
UDEV: Final = "/run/udev/data/+dmi:id"
FIRMWARE: Final = "GetSystemFirmwareTable"
_DMI_ID: Final = "/sys/class/dmi/id"
_UDEV_LINE: Final = re.compile(r"^E:\s*MEMORY_DEVICE_(\d+)_([A-Z_]+)=(.*)$", re.MULTILINE)
_UDEV_FOREIGN: Final = ("Flash", "ROM", "EEPROM", "FEPROM", "EPROM", "VRAM")
# 7.4.1: portable, laptop, notebook, sub notebook, tablet, convertible, detachable.
_PORTABLE: Final = frozenset({8, 9, 10, 14, 30, 31, 32})


def collect(host: Host) -> Facts:
    """Modules, type, speed and channels; nothing of a virtual machine, whose table describes no real ones."""
    system = host.platform().system
    if system == "windows":
        yield from _collect_windows(host)
    elif system == "linux":
        yield from _collect_linux(host)


def _collect_windows(host: Host) -> Facts:
    raw, attempt = ask(host, FIRMWARE, lambda: host.native(FIRMWARE, "RSMB"))
    if isinstance(raw, bytes):
        table = parse_windows_table(raw)
        yield attempt
        if table.chassis is not None and not table.virtual:
            yield Found(Power(laptop=table.chassis in _PORTABLE), "SMBIOS")
        if table.sockets:
            yield Found(Cpu(sockets=table.sockets), "SMBIOS")
        yield from _tell(table, "SMBIOS")
    else:
        yield attempt
        from probe.collectors.windows_cim import memory_devices

        devices, attempt = memory_devices(host)
        yield attempt
        yield from _tell(Smbios(devices=devices), attempt.source)
    kib, attempt = ask(host, _INSTALLED, lambda: host.native(_INSTALLED))
    yield attempt
    if isinstance(kib, int) and kib > 0:
        yield Found(Memory(installed_bytes=kib * 1024), _INSTALLED)


_INSTALLED: Final = "GetPhysicallyInstalledSystemMemory"


def _collect_linux(host: Host) -> Facts:
    raw, attempt = ask(host, TABLE, lambda: host.read_bytes(TABLE))
    yield attempt
    if not isinstance(raw, Failure):
        yield from _tell(parse_table(raw), TABLE)
        return
    text, attempt = ask(host, UDEV, lambda: host.read_text(UDEV))
    yield attempt
    if isinstance(text, Failure):
        return
    maker = text_or_none(host.read_text(f"{_DMI_ID}/sys_vendor"))
    product = text_or_none(host.read_text(f"{_DMI_ID}/product_name"))
    yield from _tell(Smbios(devices=parse_udev_devices(text), virtual=is_virtual(maker, product)), UDEV)


def _tell(table: Smbios, source: str) -> Facts:
    if table.virtual:
        yield Attempt(
            source="memory modules",
            result=AttemptResult.SKIPPED,
            ms=0.0,
            detail="virtual machine: its table describes no real modules",
        )
    elif any(device.size_bytes != 0 for device in table.devices):
        yield Found(memory_of(table), source)


def memory_of(table: Smbios) -> Memory:
    """What the slots say of the RAM as a whole.

    Speed is the slowest module's data rate: the controller runs all at one. Type is
    that of most modules. The installed size is unknown when one module's is.
    """
    used = [device for device in table.devices if device.size_bytes != 0]
    modules = tuple(_module(device) for device in used if device.size_bytes)
    rates = [module_rates(device.type, device.rated, device.configured) for device in used]
    kinds = Counter(device.type for device in used if device.type)
    sizes = [device.size_bytes for device in used]
    speeds = [speed for label, actual in rates if (speed := actual or label)]
    return Memory(
        modules=modules,
        installed_bytes=None if None in sizes else sum(size for size in sizes if size),
        type=kinds.most_common(1)[0][0] if kinds else None,
        speed_mt_per_s=min(speeds, default=None),
        rated_speed_mt_per_s=min((label for label, _ in rates if label), default=None),
        channels=populated_channels(table.devices),
    )


def _module(device: MemoryDevice) -> MemoryModule:
    rated, configured = module_rates(device.type, device.rated, device.configured)
    return MemoryModule(
        size_bytes=device.size_bytes or 0,
        type=device.type,
        rated_mt_per_s=rated,
        configured_mt_per_s=configured,
        locator=device.locator,
        bank=device.bank,
        data_width_bits=device.data_width_bits,
    )


def parse_udev_devices(text: str) -> tuple[MemoryDevice, ...]:
    """Slots of udev's database entry, or of `udevadm info -e`; systemd 248 and later writes them.

    Flash chips stand among them and are left out: here no array tells their use.
    """
    slots: dict[int, dict[str, str]] = {}
    for number, name, value in _UDEV_LINE.findall(text):
        slots.setdefault(int(number), {})[name] = value.strip()
    return tuple(
        _udev_device(fields) for _, fields in sorted(slots.items()) if fields.get("TYPE") not in _UDEV_FOREIGN
    )


def _udev_device(fields: Mapping[str, str]) -> MemoryDevice:
    kind = fields.get("TYPE", "").removesuffix(" FB-DIMM")
    return MemoryDevice(
        size_bytes=0 if fields.get("PRESENT") == "0" else _number(fields.get("SIZE")),
        type=kind if kind in TYPES else None,
        rated=_number(fields.get("SPEED_MTS")),
        configured=_number(fields.get("CONFIGURED_SPEED_MTS")),
        locator=plain_text(fields.get("LOCATOR")),
        bank=plain_text(fields.get("BANK_LOCATOR")),
        data_width_bits=_number(fields.get("DATA_WIDTH")),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
