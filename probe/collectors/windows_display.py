"""Graphics adapters and NPUs of Windows: the registry first, DirectX for what it lacks, PowerShell last.

Memory comes from the driver's 64-bit figure. Win32_VideoController.AdapterRAM is
never read: it has 32 bits and shows every card above 4 GiB as 4293918720 bytes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from probe.collectors.answers import Failure, Plain, RegistryValue
from probe.collectors.facts import Facts, Found, PciDevice, ask
from probe.collectors.host import Host
from probe.collectors.pci import NOT_GPUS
from probe.collectors.state_codes import STATES
from probe.collectors.windows_collectors import DISPLAY_SOURCE
from probe.collectors.windows_devices import (
    CLASS_KEY,
    COMPUTE_CLASS,
    DeviceNode,
    read_nodes,
    shares_slot_with_processor,
)
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import NvidiaDriver

_VENDORS: Final = {"10de": "nvidia", "1002": "amd", "1022": "amd", "8086": "intel", "17cb": "qualcomm"}
_TITLES: Final = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "qualcomm": "Qualcomm"}
_PROCESSOR_MAKERS: Final = ("intel", "amd", "qualcomm")
_STRIX_HALO: Final = "1002:1586"  # the one GPU in a processor that engines treat as a GPU of its own
_CARVE_OUT: Final = 8 * 1024**3  # set for models; less is what the firmware takes for pictures
_LEAST_BYTES: Final = 64 * 1024**2  # less is a unit error or a frame buffer
_MOST_BYTES: Final = 4 * 1024**4
_DWORD: Final = 2**32
# A 32-bit figure this near its end is a larger card's, cut off (4293918720 of every driver).
_CUT_OFF: Final = _DWORD - _LEAST_BYTES
# cfgmgr32.h: CM_PROB_NOT_CONFIGURED, CM_PROB_FAILED_INSTALL, CM_PROB_DISABLED.
_NO_DRIVER_PROBLEMS: Final = (1, 28)
_DISABLED_PROBLEM: Final = 22


def collect(host: Host) -> Facts:
    """Every adapter by the registry, and those without memory again when DirectX has added it."""
    nodes, attempt = ask(host, DISPLAY_SOURCE, lambda: read_nodes(host))
    yield attempt
    if isinstance(nodes, Failure):
        from probe.collectors.windows_cim import collect_adapters

        yield from collect_adapters(host)
        return
    found: list[Accelerator] = []
    for node in nodes:
        row, problem = _adapter(host, node, len(found))
        if row is None:
            continue
        found.append(row)
        yield Found(row, DISPLAY_SOURCE)
        yield from _details(node, row, problem)
    if any(row.vendor == "nvidia" and row.driver_version for row in found):
        version = next(row.driver_version for row in found if row.vendor == "nvidia" and row.driver_version)
        yield Found(NvidiaDriver(driver_version=version), DISPLAY_SOURCE)
    if not any(_lacks_memory(row) for row in found):
        return
    answer, attempt = ask(host, "DXGI", lambda: host.native("dxgi_adapters"))
    yield attempt
    if not isinstance(answer, Failure):
        adapters = parse_dxgi(answer)
        yield from (Found(with_dxgi(row, adapters), DISPLAY_SOURCE) for row in found)


def _lacks_memory(row: Accelerator) -> bool:
    """Whether DirectX may know more: loading it takes longer than everything before."""
    if row.kind is AcceleratorKind.NPU or row.state is not AcceleratorState.USABLE:
        return False
    return row.memory_total_bytes is None or row.kind is AcceleratorKind.UNIFIED


def _adapter(host: Host, node: DeviceNode, index: int) -> tuple[Accelerator | None, int]:
    values: Mapping[str, RegistryValue] | Failure = {}
    if node.driver_key:
        values = host.registry_values(f"{CLASS_KEY}\\{node.driver_key}")
    driver = {} if isinstance(values, Failure) else values
    vendor = vendor_of(node, driver)
    in_processor = vendor == "qualcomm" or (vendor == "intel" and (node.address or "").endswith(":00:02.0"))
    if vendor == "amd" and node.class_guid != COMPUTE_CLASS:
        in_processor = shares_slot_with_processor(host, node)
    answer = host.native("device_problem", node.instance)
    problem = answer if isinstance(answer, int) else 0
    return adapter_of(node, driver, index=index, in_processor=in_processor, problem=problem), problem


def _details(node: DeviceNode, row: Accelerator, problem: int) -> Facts:
    if row.pci_address and node.vendor and node.device and row.kind is not AcceleratorKind.NPU:
        driven = row.state is not AcceleratorState.NO_DRIVER
        yield Found(
            PciDevice(
                address=row.pci_address,
                vendor=node.vendor,
                device=node.device,
                subsystem=node.subsystem,
                class_code=node.class_code or "030000",
                driver=(node.service or "driver") if driven else None,
                in_processor=row.memory_shared,
            ),
            DISPLAY_SOURCE,
        )
    if problem:
        yield Attempt(
            source=f"device: {row.name}",
            result=AttemptResult.FAILED,
            ms=0.0,
            detail=f"Device Manager's problem code {problem}",
            code=row.state_reason,
        )


def vendor_of(node: DeviceNode, driver: Mapping[str, RegistryValue]) -> str:
    """The maker by its PCI id; devices of an Arm board have none, so there by the driver's maker."""
    if node.vendor:
        return _VENDORS.get(node.vendor, "other")
    words = " ".join([str(driver.get("DriverDesc", "")), node.instance]).lower()
    return "qualcomm" if "qualcomm" in words or "qcom" in words else "other"


def adapter_of(
    node: DeviceNode,
    driver: Mapping[str, RegistryValue],
    *,
    index: int,
    in_processor: bool,
    problem: int = 0,
) -> Accelerator | None:
    """A row of the machine for one device; None for virtual screens and server consoles.

    Args:
        driver: values of the driver's key; empty where no driver is installed.
        in_processor: it has no memory of its own.
        problem: Device Manager's code, 0 for none.
    """
    if node.vendor in NOT_GPUS or not node.instance.upper().startswith(("PCI\\", "ACPI\\")):
        return None
    vendor = vendor_of(node, driver)
    if (
        vendor == "other"
        and node.class_guid != COMPUTE_CLASS
        and not (node.class_code or "").startswith("12")
    ):
        return None  # a screen adapter of some other maker: nothing we know of computes on it
    state = _state(node, driver, problem)
    pci_id = f"{node.vendor}:{node.device}" if node.vendor else None
    is_npu = node.class_guid == COMPUTE_CLASS and vendor in _PROCESSOR_MAKERS
    is_card = not is_npu and vendor == "other"
    kind = _kind(pci_id, is_npu=is_npu, is_card=is_card, in_processor=in_processor)
    name = str(driver.get("DriverDesc", "")).strip() or node.description or ""
    if state == "no_driver" or not name:
        name = f"{_TITLES.get(vendor, 'PCI')} {pci_id or 'device'}"
    own_bytes = None if is_npu else parse_memory(driver)
    shared = is_npu or in_processor
    # What the firmware set aside of RAM is no longer in the RAM that Windows counts.
    carved = kind is AcceleratorKind.UNIFIED and (own_bytes or 0) >= _CARVE_OUT
    return Accelerator(
        index=index,
        kind=kind,
        vendor=vendor,
        name=name,
        state=STATES[state] if state else AcceleratorState.USABLE,
        state_reason=state,
        pci_address=node.address,
        pci_id=pci_id,
        memory_total_bytes=own_bytes if carved or not shared else None,
        memory_shared=shared and not carved,
        driver_version=parse_driver_version(vendor, driver.get("DriverVersion")) if not state else None,
    )


def _kind(pci_id: str | None, *, is_npu: bool, is_card: bool, in_processor: bool) -> AcceleratorKind:
    if is_npu:
        return AcceleratorKind.NPU
    if is_card:
        return AcceleratorKind.CARD
    if pci_id == _STRIX_HALO:
        return AcceleratorKind.UNIFIED
    return AcceleratorKind.INTEGRATED if in_processor else AcceleratorKind.DISCRETE


def _state(node: DeviceNode, driver: Mapping[str, RegistryValue], problem: int) -> str | None:
    basic = str(driver.get("DriverDesc", "")).startswith("Microsoft ") or str(
        driver.get("MatchingDeviceId", "")
    ).lower().startswith("pci\\cc_")
    if basic or not driver or problem in _NO_DRIVER_PROBLEMS:
        # Microsoft's Basic Display Adapter fits every card by its class and drives none.
        return "no_driver"
    if problem == _DISABLED_PROBLEM:
        return "device_disabled"
    return "device_stopped" if problem else None


def parse_memory(driver: Mapping[str, RegistryValue]) -> int | None:
    """Bytes of a card's own memory: the driver's 64-bit figure, else its 32-bit one within reason.

    Intel's drivers write the numbers as raw bytes.
    """
    size = _number(driver.get("HardwareInformation.qwMemorySize"))
    if size is not None and _LEAST_BYTES <= size <= _MOST_BYTES:
        return size
    raw = driver.get("HardwareInformation.MemorySize")
    size = _number(raw)
    wide = isinstance(raw, bytes) and len(raw) > 4
    if size is None or not _LEAST_BYTES <= size <= _MOST_BYTES or (not wide and size >= _CUT_OFF):
        return None
    return size


def _number(value: RegistryValue | None) -> int | None:
    if isinstance(value, bytes):
        return int.from_bytes(value, "little") if len(value) in (4, 8) else None
    if not isinstance(value, int):
        return None
    return value + _DWORD if -_DWORD < value < 0 else value


def parse_driver_version(vendor: str, text: RegistryValue | None) -> str | None:
    """The version as the maker prints it: NVIDIA's 560.94 stands in the registry as 32.0.15.6094."""
    if not isinstance(text, str) or not text:
        return None
    if vendor == "nvidia":
        digits = "".join(re.findall(r"\d+", text)[-2:])
        return f"{digits[-5:-2]}.{digits[-2:]}" if len(digits) >= 5 else None
    return text


class DxgiAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter of DirectX, bytes."""

    name: str = ""
    vendor: str
    device: str
    dedicated_video_bytes: int = 0
    dedicated_system_bytes: int = 0
    shared_system_bytes: int = 0
    software: bool = False


def parse_dxgi(answer: Plain) -> tuple[DxgiAdapter, ...]:
    """The hardware adapters of DirectX; nonsense gives none."""
    try:
        adapters = msgspec.convert(answer, tuple[DxgiAdapter, ...])
    except msgspec.ValidationError:
        return ()
    return tuple(adapter for adapter in adapters if not adapter.software)


def with_dxgi(row: Accelerator, adapters: Sequence[DxgiAdapter]) -> Accelerator:
    """The row with DirectX's figures: own memory where the registry has none, the share of RAM otherwise.

    DirectX knows no address; adapters of one id are alike, so the first one's figures hold for all.
    A GPU with a carve-out smaller than its share of RAM is better served from RAM.
    """
    same = [adapter for adapter in adapters if row.pci_id == f"{adapter.vendor}:{adapter.device}"]
    same = same or [adapter for adapter in adapters if adapter.name == row.name]
    if not same or row.state is not AcceleratorState.USABLE:
        return row
    own = same[0].dedicated_video_bytes + same[0].dedicated_system_bytes
    share = same[0].shared_system_bytes
    if row.memory_shared or (row.kind is AcceleratorKind.UNIFIED and share > own):
        total = own + share
        known = total if total >= _LEAST_BYTES else None
        return msgspec.structs.replace(row, memory_total_bytes=known, memory_shared=True)
    if row.memory_total_bytes is None and own >= _LEAST_BYTES:
        return msgspec.structs.replace(row, memory_total_bytes=own)
    return row
