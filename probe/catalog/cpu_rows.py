"""Rows of processors: families by the brand string that the system prints, first match wins."""

import enum
import re
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

_FILE: Final = "catalogs/devices/cpus.json"
_CORES_FILE: Final = "catalogs/devices/cpu_cores.json"

_MARKS: Final = re.compile(r"\((?:R|TM|C)\)", re.IGNORECASE)
_CPU_WORD: Final = re.compile(r"\bCPU\b", re.IGNORECASE)
_PLUS: Final = re.compile(r"\b(i[3579])\+(?=\d)")  # i7+8700: sold with Optane memory
# A brand must name its maker before a row of that maker is tried.
_MAKERS: Final = {
    "intel": re.compile(r"intel|pentium|celeron|xeon|atom", re.IGNORECASE),
    "amd": re.compile(r"\bamd\b|opteron", re.IGNORECASE),
}


class CpuForm(enum.Enum):
    """What the processor is sold for; None in a row = laptops and desktops alike."""

    LAPTOP = "laptop"
    DESKTOP = "desktop"
    WORKSTATION = "workstation"
    SERVER = "server"
    MINI_PC = "mini_pc"
    BOARD = "board"


class MemoryOption(msgspec.Struct, frozen=True, kw_only=True):
    """A memory type with its highest official speed."""

    type: str
    mt_per_s: int


class MemoryPopulation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What real machines with such a processor have: SMBIOS dumps of linuxhw/DMI, January 2025.

    The owners run Linux, so office Windows PCs probably have fewer modules.
    """

    form: str  # laptop, desktop, server
    machines: int
    share_one_module: float
    speed_p10_mt_per_s: int
    speed_median_mt_per_s: int
    speed_p90_mt_per_s: int
    ram_median_gib: float
    share_one_channel: float | None = None  # by locator names; None where they say nothing


class CpuSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One family. Memory speed and channels are the official maximum of one socket: a ceiling.

    `bus_limit_bytes_per_s`: what the front-side bus lets through, below memory speed
    on machines before 2009.
    """

    name: str
    needs: tuple[str, ...]  # one of these must be in the lower-case brand before the pattern is tried
    pattern: str
    vendor: str
    generation: str | None = None
    form: CpuForm | None = None
    memory_type: str | None = None
    memory_mt_per_s: int | None = None
    channels: int | None = None
    channel_width_bits: int = 64
    memory_alternatives: tuple[MemoryOption, ...] = ()
    bus_limit_bytes_per_s: float | None = None
    isa: tuple[str, ...] = ()  # Linux spelling; what every member of the family has
    sockets_max: int = 1
    npu: str | None = None
    igpu: str | None = None
    populations: tuple[MemoryPopulation, ...] = ()
    verified: bool = True
    note: str | None = None
    example: str | None = None
    source: str
    retrieved: str

    @property
    def laptop(self) -> bool | None:
        """Whether it is a laptop part; None where the family is in both."""
        return None if self.form is None else self.form is CpuForm.LAPTOP


class _CpuFile(msgspec.Struct, frozen=True):
    cpus: tuple[CpuSpec, ...]
    form_populations: tuple[MemoryPopulation, ...]  # all families of a form together


@cache
def _file() -> _CpuFile:
    try:
        return msgspec.json.decode(read_data(_FILE), type=_CpuFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


def all_cpus() -> tuple[CpuSpec, ...]:
    """Every family, in the order in which they are tried."""
    return _file().cpus


def form_population(form: str) -> MemoryPopulation | None:
    """What machines of this form have over all families: the prior of families that were not counted."""
    return next((row for row in _file().form_populations if row.form == form), None)


def plain_brand(brand: str) -> str:
    """A brand string without marks, doubled spaces and the word CPU."""
    words = _CPU_WORD.sub(" ", _MARKS.sub("", brand)).split()
    return _PLUS.sub(r"\1-", " ".join(words))


def first_match(plain: str, *, any_maker: bool) -> CpuSpec | None:
    """The first family whose pattern is in a plain brand; with `any_maker` the maker need not be named."""
    lower = plain.lower()
    for row in all_cpus():
        if not any(word in lower for word in row.needs):
            continue
        maker = _MAKERS.get(row.vendor)
        if maker is not None and not any_maker and not maker.search(plain):
            continue
        if re.search(row.pattern, plain, re.IGNORECASE):
            return row
    return None


# Not a processor's name but a hypervisor's, an emulator's or a firmware's.
_VIRTUAL: Final = re.compile(
    r"qemu|\bkvm\b|virtual|bochs|vmware|eng(ineering)? sample|model unknown|0000\b"
    r"|\b(skylake|cascadelake|icelake|haswell|broadwell|ivybridge|sandybridge|nehalem|westmere|sapphirerapids"
    r"|graniterapids|cooperlake|denverton|snowridge)\b|EPYC-(rome|milan|genoa|turin)|IBRS",
    re.IGNORECASE,
)


@cache
def match_cpu(brand: str | None) -> CpuSpec | None:
    """The family of a brand string as the system prints it, or None.

    None for generic, virtual and engineering-sample brands ("AMD EPYC",
    "Intel(R) Xeon(R) Processor", "Genuine Intel(R) CPU 0000 @ 2.00GHz"): a
    virtual machine's share of a host's memory is not in any table.
    """
    if not brand:
        return None
    plain = plain_brand(brand)
    if _VIRTUAL.search(plain):
        return None
    return first_match(plain, any_maker=False)


class CoreCount(msgspec.Struct, frozen=True, array_like=True):
    """Cores of one socket."""

    physical: int
    logical: int


@cache
def core_counts() -> dict[str, CoreCount]:
    """Cores by model, lower case without maker and family word: `i5-8500`, `epyc 9554`, `gold 6430`."""
    try:
        return msgspec.json.decode(read_data(_CORES_FILE), type=dict[str, CoreCount])
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_CORES_FILE, detail=str(error)) from error
