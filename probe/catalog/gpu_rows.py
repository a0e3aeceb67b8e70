"""Rows of GPUs: what the maker prints, per board; the files are split so that a scan loads one vendor."""

import enum
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.accelerator import AcceleratorKind, ComputeRates

GPU_VENDORS: Final = ("nvidia", "amd", "intel", "apple")
_PCI_VENDORS: Final = {"10de": "nvidia", "1002": "amd", "1022": "amd", "8086": "intel", "106b": "apple"}


class GpuForm(enum.Enum):
    """What it is built into."""

    DESKTOP = "desktop"
    LAPTOP = "laptop"
    WORKSTATION = "workstation"
    SERVER = "server"
    INTEGRATED = "integrated"
    EMBEDDED = "embedded"


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One board: laptop and memory variants are rows of their own. Unknown is None.

    `memory_options_bytes` are nominal sizes in GiB as sold, several only where RAM
    is the memory (Apple). `memory_clock_mhz` is the maximum as NVML counts it, so
    2 x clock x bus / 8 is the bandwidth. `nvlink_bytes_per_s` is one way.
    """

    name: str
    driver_names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # further names that people type
    vendor: str
    form: GpuForm
    kind: AcceleratorKind
    pci_ids: tuple[str, ...] = ()
    architecture: str | None = None
    compute_capability: str | None = None
    gfx_target: str | None = None
    memory_options_bytes: tuple[int, ...] = ()
    reported_memory_bytes: int | None = None  # NVML's total where a source shows it
    memory_type: str | None = None
    bus_width_bits: int | None = None
    memory_clock_mhz: int | None = None
    bandwidth_bytes_per_s: float | None = None
    compute: ComputeRates | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    nvlink_bytes_per_s: float | None = None
    nvlink_always: bool = False  # on the module (SXM); False: only with a bridge that may be missing
    gpu_cores: tuple[int, ...] = ()
    tdp_w: int | None = None
    release: str | None = None
    verified: bool = True
    note: str | None = None
    source: str
    retrieved: str

    @property
    def memory_bytes(self) -> int | None:
        """Nominal memory of the board; None where it is RAM of several sizes."""
        return self.memory_options_bytes[0] if len(self.memory_options_bytes) == 1 else None

    @property
    def laptop(self) -> bool | None:
        """Whether it is a laptop part; None where the chip is in laptops and desktops alike."""
        if self.kind is not AcceleratorKind.DISCRETE:
            return None
        return self.form is GpuForm.LAPTOP

    @property
    def memory_shared(self) -> bool:
        """Whether its memory is system RAM. GH200 and GB200 have HBM of their own beside it."""
        own = self.memory_type is not None and self.memory_type.startswith("HBM")
        return self.kind is not AcceleratorKind.DISCRETE and not own


@cache
def gpus_of(vendor: str) -> tuple[GpuSpec, ...]:
    """Rows of one vendor; empty for a vendor without a file.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    if vendor not in GPU_VENDORS:
        return ()
    name = f"catalogs/devices/gpus_{vendor}.json"
    try:
        return msgspec.json.decode(read_data(name), type=tuple[GpuSpec, ...])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=name, detail=str(error)) from error


def all_gpus() -> tuple[GpuSpec, ...]:
    """Every GPU row, by vendor."""
    return tuple(row for vendor in GPU_VENDORS for row in gpus_of(vendor))


def pci_vendor(pci_id: str | None) -> str | None:
    """Our vendor word of a PCI id such as `10de:2684`; None for vendors without GPU rows."""
    return _PCI_VENDORS.get(pci_id.partition(":")[0].lower()) if pci_id else None
