"""GPUs, NPUs and accelerator cards as the system describes them."""

import enum

import msgspec

from probe.machine.ranges import Range


class AcceleratorKind(enum.Enum):
    """Where its memory is and what it is for."""

    DISCRETE = "discrete"
    INTEGRATED = "integrated"  # office iGPU: shares RAM, placement stays cpu
    UNIFIED = "unified"  # Apple, GB10, Jetson, Strix Halo: one pool
    NPU = "npu"
    CARD = "card"  # accelerator card that is no GPU


class AcceleratorState(enum.Enum):
    """Four states that must never be collapsed to "no GPU"."""

    USABLE = "usable"
    BLOCKED = "blocked"  # works, but not for us: permission, container device rule, env mask, compute mode
    UNUSABLE = "unusable"  # driver present but mismatch, lost, too old, power
    NO_DRIVER = "no_driver"  # on the bus, nothing drives it


class PcieLink(msgspec.Struct, frozen=True, kw_only=True):
    """PCIe generation and lanes. `generation` (current) drops at idle: judge by max_*."""

    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None  # of device and slot together
    max_width: int | None = None
    device_max_generation: int | None = None  # of the device alone


class MigSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG instance; a CUDA process sees one slice only."""

    index: int
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None


class ForeignProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process holding memory of this device. `name` without path and arguments."""

    pid: int
    name: str | None = None
    memory_bytes: int | None = None


class ComputeRates(msgspec.Struct, frozen=True, kw_only=True):
    """Dense arithmetic rates of the data sheet, in 10^12 operations a second (catalog values)."""

    fp32_tflops: float | None = None
    fp16_tflops: float | None = None  # tensor or matrix unit where it has one, else shader
    bf16_tflops: float | None = None
    fp8_tflops: float | None = None
    int8_tops: float | None = None


class Accelerator(msgspec.Struct, frozen=True, kw_only=True):
    """One device. Unknown is None; sizes in bytes; identity is the PCI address, never the index."""

    index: int
    kind: AcceleratorKind
    vendor: str  # lower case: nvidia amd intel apple qualcomm ... other
    name: str
    state: AcceleratorState
    state_reason: str | None = None  # code, see messages/*/states.toml
    pci_address: str | None = None  # 0000:01:00.0
    pci_id: str | None = None  # 10de:2684
    architecture: str | None = None  # "Ada", "RDNA3", "Xe2" ...
    compute_capability: str | None = None  # "8.9"
    gfx_target: str | None = None  # "gfx1100"
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_shared: bool = False  # its memory is (part of) system RAM
    memory_dedicated_bytes: int | None = None  # of a shared total: set aside by firmware, not in RAM's total
    memory_type: str | None = None
    bandwidth_bytes_per_s: Range | None = None
    bus_width_bits: int | None = None
    memory_clock_mhz: int | None = None  # maximum, as NVML counts it
    driver_version: str | None = None
    driver_model: str | None = None  # wddm, tcc, mcdm
    pcie: PcieLink | None = None
    mig_enabled: bool | None = None
    mig_slices: tuple[MigSlice, ...] = ()
    ecc_enabled: bool | None = None
    compute_mode: str | None = None  # default, prohibited, exclusive_process
    persistence_mode: bool | None = None
    power_limit_w: float | None = None
    power_limit_default_w: float | None = None
    power_limit_max_w: float | None = None
    bar1_bytes: int | None = None  # window the CPU sees; as large as the memory with Resizable BAR
    clock_reasons: tuple[str, ...] = ()
    virtualization: str | None = None  # none, passthrough, vgpu, host
    numa_node: int | None = None
    uuid: str | None = None  # redacted in reports and recordings unless asked for
    processes: tuple[ForeignProcess, ...] = ()
    catalog_name: str | None = None  # strict match in catalogs/devices, else None
    gpu_cores: int | None = None  # Apple GPU cores
    laptop: bool | None = None
    wired_limit_bytes: Range | None = None  # unified: what the GPU may take of RAM (Apple)
    compute: ComputeRates | None = None  # catalog values
    software_note: str | None = None  # NPUs and cards: code of the sentence that says what serves LLMs on it
