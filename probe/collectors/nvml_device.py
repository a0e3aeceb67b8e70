"""One NVIDIA GPU: every getter by itself, so that a failing one costs one figure."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from probe.collectors import nvml_session as codes
from probe.collectors.host import Host
from probe.collectors.nvml_condition import read_condition
from probe.collectors.nvml_session import Argument, NvmlDevice, NvmlError, NvmlSession
from probe.collectors.pci import normal_address
from probe.collectors.state_codes import DEVICE_STATES, STATES
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState, MigSlice, PcieLink
from probe.machine.ranges import Range, exact

# nvml.h, NVML_DEVICE_ARCH_*; a newer value leaves the name to the compute capability.
_ARCHITECTURES: Final = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
    13: "Rubin",
}
_BY_CAPABILITY: Final = (
    (("8.9",), "Ada"),
    (("7.5",), "Turing"),
    (("7.",), "Volta"),
    (("3.",), "Kepler"),
    (("5.",), "Maxwell"),
    (("6.",), "Pascal"),
    (("8.",), "Ampere"),
    (("9.",), "Hopper"),
    (("10.", "11.", "12."), "Blackwell"),
)
# GPUs that are part of the processor and live in its RAM: DGX Spark, Jetson, Drive.
_INTEGRATED: Final = re.compile(r"\b(GB10|N1X?|Thor|Orin|Xavier|Tegra)\b|\(nvgpu\)", re.IGNORECASE)
# GPUs with memory of their own that the processor shares coherently over NVLink-C2C.
_COHERENT: Final = re.compile(r"\bG[BH]\d00\b|\bGrace\b", re.IGNORECASE)
_LAPTOP: Final = re.compile(
    r"\b(Laptop|Mobile|Max-Q|M\.? ?GPU)\b|\bRTX \d{3,4}M\b|\bGTX? \d{3}M\b", re.IGNORECASE
)
_VIRTUALIZATION: Final = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host", 4: "host"}
_DRIVER_MODELS: Final = {0: "wddm", 1: "tcc", 2: "mcdm"}
_CLOCK_MEMORY: Final = 2  # NVML_CLOCK_MEM
_ENABLED: Final = 1


class DeviceReader:
    """Asks one device, keeps which getters failed and how."""

    def __init__(self, session: NvmlSession, device: NvmlDevice) -> None:
        self.session = session
        self.device = device
        self.errors: dict[str, NvmlError] = {}

    def ask(self, getter: str, *arguments: Argument) -> object | None:
        """The plain answer, None when the getter failed."""
        value = self.session.ask(getter, self.device, *arguments)
        if isinstance(value, NvmlError):
            self.errors[getter] = value
            return None
        return value

    def number(self, getter: str, *arguments: Argument) -> int | None:
        """An integer answer."""
        value = self.ask(getter, *arguments)
        return value if isinstance(value, int) else None

    def text(self, getter: str, *arguments: Argument) -> str | None:
        """A text answer, None when empty."""
        value = self.ask(getter, *arguments)
        return value.strip() or None if isinstance(value, str) else None

    def numbers(self, getter: str, *arguments: Argument) -> tuple[int, ...]:
        """An answer of several integers, such as (current, pending); empty when the getter failed."""
        value = self.ask(getter, *arguments)
        if not isinstance(value, list | tuple):
            return ()
        return tuple(item for item in value if isinstance(item, int))

    def mapping(self, getter: str, *arguments: Argument) -> Mapping[str, object]:
        """A structure's fields; empty when the getter failed."""
        value = self.ask(getter, *arguments)
        return value if isinstance(value, Mapping) else {}

    def told_errors(self) -> str | None:
        """Failures that are more than "this model has no such thing", for the attempt's detail."""
        usual = (codes.NOT_SUPPORTED, codes.FUNCTION_NOT_FOUND, codes.NOT_FOUND, codes.INVALID_ARGUMENT)
        told = [f"{getter}: {error.name}" for getter, error in self.errors.items() if error.code not in usual]
        return "; ".join(told[:6]) or None


def identify(reader: DeviceReader, index: int) -> Accelerator:
    """Name and address alone."""
    pci = reader.mapping("nvmlDeviceGetPciInfo")
    address = pci.get("busId") or pci.get("busIdLegacy")
    ids = pci.get("pciDeviceId")
    name = reader.text("nvmlDeviceGetName")
    return Accelerator(
        index=index,
        kind=AcceleratorKind.DISCRETE,
        vendor="nvidia",
        name=name or "NVIDIA GPU",
        state=AcceleratorState.UNUSABLE,
        state_reason="nvml_timeout",  # stands only if the device is never read to its end
        pci_address=normal_address(address) if isinstance(address, str) and address else None,
        # NVML writes device and vendor into one number, device first.
        pci_id=f"{ids & 0xFFFF:04x}:{ids >> 16:04x}" if isinstance(ids, int) and ids else None,
    )


def read_device(host: Host, reader: DeviceReader, first: Accelerator) -> Accelerator:
    """Everything NVML says of one device, and the state that follows."""
    name = first.name
    integrated = is_integrated(name)
    node = reader.number("nvmlDeviceGetNumaNodeId")
    c2c = reader.mapping("nvmlDeviceGetC2cModeInfoV").get("isC2cEnabled") == _ENABLED
    coherent = not integrated and (c2c or bool(_COHERENT.search(name)))
    capability = _capability(reader)
    total, free, reserved = read_memory(reader)
    width = reader.number("nvmlDeviceGetMemoryBusWidth") or None
    clock = reader.number("nvmlDeviceGetMaxClockInfo", _CLOCK_MEMORY) or None
    mig = reader.numbers("nvmlDeviceGetMigMode")
    mig_enabled = mig[0] == _ENABLED if mig else None
    slices = _read_slices(reader) if mig_enabled else ()
    virtualization = reader.number("nvmlDeviceGetVirtualizationMode")
    device = msgspec.structs.replace(
        first,
        kind=AcceleratorKind.UNIFIED if integrated or coherent else AcceleratorKind.DISCRETE,
        architecture=architecture_name(reader.number("nvmlDeviceGetArchitecture"), capability),
        compute_capability=capability,
        memory_total_bytes=total,
        memory_free_bytes=free,
        memory_reserved_bytes=reserved,
        memory_shared=integrated,
        bandwidth_bytes_per_s=None if integrated else memory_bandwidth(clock, width),
        bus_width_bits=width,
        memory_clock_mhz=clock,
        driver_model=_driver_model(host, reader),
        pcie=None if integrated else _read_pcie(reader),
        mig_enabled=mig_enabled,
        mig_slices=slices,
        virtualization=None if virtualization is None else _VIRTUALIZATION.get(virtualization),
        numa_node=node,
        uuid=reader.text("nvmlDeviceGetUUID"),
        laptop=True if _LAPTOP.search(name) else None,
        **read_condition(host, reader),
    )
    code = state_code(reader, device)
    return msgspec.structs.replace(
        device,
        state=STATES[code] if code else AcceleratorState.USABLE,
        state_reason=code,
    )


def state_code(reader: DeviceReader, device: Accelerator) -> str | None:
    """Why the device cannot be used, worst first; None when it can."""
    seen = {error.code for error in reader.errors.values()}
    for error, code in DEVICE_STATES.items():
        if error in seen:
            return code
    refused = {codes.NO_PERMISSION, codes.OPERATING_SYSTEM}
    basics = ("nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCudaComputeCapability")
    failures = [reader.errors[getter].code for getter in basics if getter in reader.errors]
    if device.memory_total_bytes is None and device.mig_enabled is not True:
        if any(failure in refused for failure in failures):
            return "no_permission"
        if failures.count(codes.UNKNOWN) > 1:
            return "driver_unknown_error"
    if device.compute_mode == "prohibited":
        return "compute_mode_prohibited"
    if device.mig_enabled and not device.mig_slices:
        return "mig_without_slices"
    return None


def is_integrated(name: str) -> bool:
    """Whether the name is of a GPU that lives in the processor's RAM (DGX Spark, Jetson)."""
    return bool(_INTEGRATED.search(name))


def architecture_name(number: int | None, capability: str | None) -> str | None:
    """The generation's name by NVML's number, else by compute capability; None for what is newer than us."""
    if number in _ARCHITECTURES:
        return _ARCHITECTURES[number]
    if capability is None:
        return None
    return next((name for starts, name in _BY_CAPABILITY if capability.startswith(starts)), None)


def read_memory(reader: DeviceReader) -> tuple[int | None, int | None, int | None]:
    """(total, free, reserved) bytes. Never `used`: the two versions count the driver's share differently."""
    figures = reader.mapping("nvmlDeviceGetMemoryInfo_v2")
    if not figures:  # the second version came with driver 510
        figures = reader.mapping("nvmlDeviceGetMemoryInfo")
    total, free, reserved = (figures.get(name) for name in ("total", "free", "reserved"))
    if not isinstance(total, int) or total <= 0:
        return None, None, None
    return (
        total,
        free if isinstance(free, int) and free <= total else None,
        reserved if isinstance(reserved, int) else None,
    )


def memory_bandwidth(clock_mhz: int | None, bus_width_bits: int | None) -> Range | None:
    """Bytes a second = 2 x maximum memory clock x bus width / 8.

    NVML's clock is half the data rate for every memory type, so the factor is
    always 2: within 2.4 % of the data sheet on 27 cards from P100 to B200.
    """
    if not clock_mhz or not bus_width_bits:
        return None
    return exact(2 * clock_mhz * 1e6 * bus_width_bits / 8, "nvml")


def _capability(reader: DeviceReader) -> str | None:
    parts = reader.numbers("nvmlDeviceGetCudaComputeCapability")
    return f"{parts[0]}.{parts[1]}" if len(parts) == 2 and parts[0] > 0 else None


def _read_pcie(reader: DeviceReader) -> PcieLink | None:
    link = PcieLink(
        generation=reader.number("nvmlDeviceGetCurrPcieLinkGeneration") or None,
        width=reader.number("nvmlDeviceGetCurrPcieLinkWidth") or None,
        max_generation=reader.number("nvmlDeviceGetMaxPcieLinkGeneration") or None,
        max_width=reader.number("nvmlDeviceGetMaxPcieLinkWidth") or None,
        device_max_generation=reader.number("nvmlDeviceGetGpuMaxPcieLinkGeneration") or None,
    )
    return None if link == PcieLink() else link


def _driver_model(host: Host, reader: DeviceReader) -> str | None:
    if host.platform().system != "windows":
        return None
    models = reader.numbers("nvmlDeviceGetDriverModel_v2") or reader.numbers("nvmlDeviceGetDriverModel")
    return _DRIVER_MODELS.get(models[0]) if models else None


def _read_slices(reader: DeviceReader) -> tuple[MigSlice, ...]:
    """The MIG instances; places without one answer NotFound."""
    slices: list[MigSlice] = []
    for index in range(min(reader.number("nvmlDeviceGetMaxMigDeviceCount") or 0, 16)):
        handle = reader.session.mig_device(reader.device, index)
        if isinstance(handle, NvmlError):
            continue
        part = DeviceReader(reader.session, handle)
        total, free, _ = read_memory(part)
        slices.append(
            MigSlice(
                index=index,
                name=part.text("nvmlDeviceGetName"),
                memory_total_bytes=total,
                memory_free_bytes=free,
            )
        )
    return tuple(slices)
