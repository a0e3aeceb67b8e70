"""PowerShell's CIM: slow and often forbidden, so asked only where registry or firmware call failed."""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.collectors.smbios import MemoryDevice, plain_text, type_name
from probe.machine.attempt import Attempt, AttemptResult

_LIMIT_S: Final = 4.0
_POWERSHELL: Final = r"\System32\WindowsPowerShell\v1.0\powershell.exe"
# Windows PowerShell prints in the console's code page unless told otherwise.
_PREFIX: Final = "[Console]::OutputEncoding=[Text.Encoding]::UTF8;$ProgressPreference='SilentlyContinue';"
_ADAPTERS: Final = (
    "Get-CimInstance Win32_VideoController|"
    "Select-Object Name,PNPDeviceID,DriverVersion,ConfigManagerErrorCode|ConvertTo-Json -Compress"
)
_MODULES: Final = (
    "Get-CimInstance Win32_PhysicalMemory|Select-Object Capacity,DeviceLocator,BankLabel,DataWidth,Speed,"
    "ConfiguredClockSpeed,SMBIOSMemoryType|ConvertTo-Json -Compress"
)
# Without an address a processor's own graphics cannot be told from a card but by the maker's words.
_OF_THE_PROCESSOR: Final = re.compile(
    r"HD Graphics|Iris(?!.*MAX)|Radeon(?:\(TM\))?(?: Vega \d+)? Graphics$|Adreno", re.IGNORECASE
)
Row: TypeAlias = Mapping[str, str | int | float | bool | None]


def command(host: Host, script: str) -> tuple[str, ...]:
    """Windows' own PowerShell by its full path, without the user's profile."""
    root = host.variable("SystemRoot") or r"C:\Windows"
    return (root + _POWERSHELL, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", _PREFIX + script)


def collect_adapters(host: Host) -> Facts:
    """Graphics adapters by name and id alone: their memory stays unknown."""
    from probe.collectors.windows_collectors import DISPLAY_SOURCE
    from probe.collectors.windows_devices import DISPLAY_CLASS, DeviceNode, parse_hardware_id
    from probe.collectors.windows_display import adapter_of

    source = "CIM: Win32_VideoController"
    output, attempt = ask(host, source, lambda: host.run(command(host, _ADAPTERS), timeout_s=_LIMIT_S))
    rows = () if isinstance(output, Failure) else parse_rows(output.stdout)
    yield attempt if rows or isinstance(output, Failure) else _nothing(source, attempt.ms)
    for index, row in enumerate(rows):
        instance, name = _text(row, "PNPDeviceID"), _text(row, "Name")
        vendor, device, subsystem = parse_hardware_id(instance)
        node = DeviceNode(
            instance=instance, vendor=vendor, device=device, subsystem=subsystem, class_guid=DISPLAY_CLASS
        )
        found = adapter_of(
            node,
            {"DriverDesc": name, "DriverVersion": _text(row, "DriverVersion")},
            index=index,
            in_processor=bool(_OF_THE_PROCESSOR.search(name)),
            problem=_number(row, "ConfigManagerErrorCode") or 0,
        )
        if found is not None:
            yield Found(found, DISPLAY_SOURCE)


def memory_devices(host: Host) -> tuple[tuple[MemoryDevice, ...], Attempt]:
    """Memory modules as WMI tells them; empty slots are not listed."""
    source = "CIM: Win32_PhysicalMemory"
    output, attempt = ask(host, source, lambda: host.run(command(host, _MODULES), timeout_s=_LIMIT_S))
    if isinstance(output, Failure):
        return (), attempt
    devices = parse_memory(output.stdout)
    return devices, attempt if devices else _nothing(source, attempt.ms)


def parse_memory(text: str) -> tuple[MemoryDevice, ...]:
    """Modules of ConvertTo-Json's output. `Speed` is the label; `ConfiguredClockSpeed` is in MT/s too."""
    return tuple(
        MemoryDevice(
            size_bytes=_number(row, "Capacity"),
            type=type_name(_number(row, "SMBIOSMemoryType")),
            rated=_number(row, "Speed"),
            configured=_number(row, "ConfiguredClockSpeed"),
            locator=plain_text(_text(row, "DeviceLocator")),
            bank=plain_text(_text(row, "BankLabel")),
            data_width_bits=_number(row, "DataWidth"),
        )
        for row in parse_rows(text)
    )


def parse_rows(text: str) -> tuple[Row, ...]:
    """Rows of ConvertTo-Json, which writes one row without a list; nothing for anything else."""
    plain = text.strip().lstrip("\ufeff")
    try:
        return msgspec.json.decode(plain if plain.startswith("[") else f"[{plain}]", type=tuple[Row, ...])
    except msgspec.MsgspecError:
        return ()


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _number(row: Row, name: str) -> int | None:
    """A positive whole number, also where it is written as text (64 bits); 0 stands for unknown."""
    text = str(row.get(name) or "")
    return int(text) or None if text.isascii() and text.isdigit() else None


def _nothing(source: str, ms: float) -> Attempt:
    return Attempt(source=source, result=AttemptResult.FAILED, ms=ms, detail="no rows in its output")
