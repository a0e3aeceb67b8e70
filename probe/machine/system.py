"""CPU, RAM, disks and power."""

import msgspec

from probe.machine.ranges import Range


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The processor as the system prints it, and what may be used of it."""

    brand: str | None = None
    vendor: str | None = None  # intel amd apple arm qualcomm ... other
    architecture: str | None = None  # x86_64, aarch64
    physical_cores: int | None = None
    logical_cores: int | None = None
    usable_cores: int | None = None  # min(affinity, quota rounded up)
    sockets: int | None = None
    isa: tuple[str, ...] = ()  # Linux spelling: avx2, avx512f, amx_int8
    catalog_name: str | None = None  # row of catalogs/devices/cpus
    generation: str | None = None  # catalog: "Alder Lake"
    laptop: bool | None = None
    quota_cores: float | None = None


class MemoryModule(msgspec.Struct, frozen=True, kw_only=True):
    """One populated DIMM (or soldered package) of the SMBIOS table."""

    size_bytes: int
    type: str | None = None
    rated_mt_per_s: int | None = None
    configured_mt_per_s: int | None = None
    locator: str | None = None
    bank: str | None = None
    data_width_bits: int | None = None


class NumaNode(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one NUMA node; one without processors is GPU or CXL memory."""

    index: int
    total_bytes: int | None = None
    has_cpus: bool | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """System RAM. `limit_bytes` is the smallest cgroup or job limit over the whole ancestry."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    limit_bytes: int | None = None
    installed_bytes: int | None = None  # by SMBIOS; more than total = carve-out
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    hugepages_bytes: int | None = None
    type: str | None = None  # DDR4, LPDDR5X
    speed_mt_per_s: int | None = None  # configured
    rated_speed_mt_per_s: int | None = None
    channels: int | None = None  # populated 64-bit channels over all sockets
    modules: tuple[MemoryModule, ...] = ()
    numa_nodes: tuple[NumaNode, ...] = ()
    bandwidth_bytes_per_s: Range | None = None
    single_module_share: float | None = None  # prior: share of machines with this CPU that have one module


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A place where models would go."""

    path: str
    free_bytes: int | None = None
    total_bytes: int | None = None
    kind: str | None = None  # nvme ssd hdd network ram
    purpose: str | None = None  # home, huggingface, ollama, temporary, shared_memory


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """Mains or battery, and the power plan."""

    on_battery: bool | None = None
    plan: str | None = None  # balanced, performance, power_saver
    laptop: bool | None = None
