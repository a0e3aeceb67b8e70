"""Drivers, CUDA toolkits and compute capabilities: what runs on what."""

import enum
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.versions import version_key
from probe.errors import CatalogError
from probe.machine.description import OsFamily

_CUDA_FILE: Final = "catalogs/engines/cuda.json"
_TORCH_FILE: Final = "catalogs/engines/torch.json"


class ToolkitDriver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The driver a CUDA toolkit was released with: every feature works from it on."""

    toolkit: str
    linux: str | None = None
    windows: str | None = None
    verified: str = "yes"
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class CudaMajor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The oldest driver that runs binaries of a CUDA major version (minor-version compatibility)."""

    major: int
    linux: str
    windows: str | None = None
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class DriverBranch(msgspec.Struct, frozen=True, kw_only=True):
    """The highest CUDA a driver branch supports."""

    branch: int
    cuda: str
    source: tuple[str, ...]
    retrieved: str


class ToolkitCapability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Compute capabilities that a range of toolkits can target."""

    first_toolkit: str
    last_toolkit: str
    min_cc: str
    dropped: tuple[str, ...] = ()
    adds: dict[str, tuple[str, ...]] = {}
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class DriverDrop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last driver branch that sees GPUs of these generations."""

    generations: tuple[str, ...]
    max_cc: str
    last_branch: int
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class KernelModule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which kernel module a generation needs: `open`, `proprietary` or `either`."""

    flavour: str
    generations: tuple[str, ...]
    verified: str | None = None
    source: tuple[str, ...]
    retrieved: str


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a compute capability's generation."""

    compute_capability: str
    name: str
    source: tuple[str, ...]
    retrieved: str


class TorchRelease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PyTorch wheel of PyPI and the GPU code inside; `archs` empty = not read."""

    version: str
    architecture: str
    cuda: str
    cuda_pin: str | None = None
    archs: tuple[str, ...] = ()
    python: str | None = None
    tag: str | None = None
    wheel_mb: float | None = None
    min_driver_linux: str
    full_driver_linux: str | None = None
    used_by: tuple[str, ...] = ()
    verified: str | None = None
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class CudaTables(msgspec.Struct, frozen=True):
    """All tables of drivers and toolkits."""

    toolkits: tuple[ToolkitDriver, ...]
    majors: tuple[CudaMajor, ...]
    branches: tuple[DriverBranch, ...]
    capabilities: tuple[ToolkitCapability, ...]
    driver_drops: tuple[DriverDrop, ...]
    kernel_modules: tuple[KernelModule, ...]
    generations: tuple[Generation, ...]


class _TorchFile(msgspec.Struct, frozen=True):
    releases: tuple[TorchRelease, ...]


class CudaFit(enum.Enum):
    """How a driver runs binaries of a CUDA version."""

    FULL = "full"  # the driver is that toolkit's or newer
    MINOR_VERSION = "minor_version"  # runs, but PTX of the newer toolkit cannot be compiled
    TOO_OLD = "too_old"
    UNKNOWN = "unknown"


@cache
def cuda_tables() -> CudaTables:
    """Tables of drivers and toolkits.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(_CUDA_FILE), type=CudaTables)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_CUDA_FILE, detail=str(error)) from error


@cache
def torch_releases() -> tuple[TorchRelease, ...]:
    """PyTorch wheels of PyPI, newest first."""
    try:
        return msgspec.json.decode(read_data(_TORCH_FILE), type=_TorchFile).releases
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=_TORCH_FILE, detail=str(error)) from error


def driver_cuda(driver_version: str) -> str | None:
    """The highest CUDA a driver supports, by its branch (`580.82.07` -> `13.0`); ask NVML first.

    A branch between two listed ones counts as the older; older than all listed: None.
    """
    key = version_key(driver_version)
    if not key:
        return None
    known = [row for row in cuda_tables().branches if row.branch <= key[0]]
    return max(known, key=lambda row: row.branch).cuda if known else None


def minimum_driver(cuda_major: int, system: OsFamily | None) -> str | None:
    """The oldest driver that runs binaries of a CUDA major version; None = not listed."""
    row = next((entry for entry in cuda_tables().majors if entry.major == cuda_major), None)
    if row is None:
        return None
    return row.windows if system is OsFamily.WINDOWS else row.linux


def full_driver(cuda: str, system: OsFamily | None) -> str | None:
    """The driver that the first toolkit of `13.0` or `12.8` came with; None = not listed."""
    wanted = version_key(cuda)
    rows = [row for row in cuda_tables().toolkits if version_key(row.toolkit)[: len(wanted)] == wanted]
    drivers = [row.windows if system is OsFamily.WINDOWS else row.linux for row in rows]
    return min((driver for driver in drivers if driver), key=version_key, default=None)


def cuda_fit(driver_version: str | None, cuda: str, system: OsFamily | None) -> CudaFit:
    """How a driver runs binaries built with CUDA `cuda`.

    Source: CUDA Compatibility guide (minor-version compatibility) and the toolkit
        release notes' driver table; rows in catalogs/engines/cuda.json.
    """
    wanted = version_key(cuda)
    if driver_version is None or not version_key(driver_version) or not wanted:
        return CudaFit.UNKNOWN
    driver = version_key(driver_version)
    least = minimum_driver(wanted[0], system)
    if least is None:
        return CudaFit.UNKNOWN
    if driver < version_key(least):
        return CudaFit.TOO_OLD
    full = full_driver(cuda, system)
    if full is not None and driver < version_key(full):
        return CudaFit.MINOR_VERSION
    return CudaFit.FULL


def last_driver_branch(compute_capability: str) -> int | None:
    """The last driver branch that sees such a GPU; None = current drivers do."""
    key = version_key(compute_capability)
    rows = sorted(cuda_tables().driver_drops, key=lambda row: version_key(row.max_cc))
    return next((row.last_branch for row in rows if key <= version_key(row.max_cc)), None)


def code_runs(archs: tuple[str, ...], ptx: tuple[str, ...], compute_capability: str) -> bool:
    """Whether compiled GPU code runs on a GPU: same major and no higher minor, or older PTX.

    Source: CUDA C++ Programming Guide, binary and PTX compatibility; family targets
        (12.0 code on 12.1, 10.0 on 10.3) as vLLM 0.33.0's release pipeline states.
    """
    own = _pair(compute_capability)
    if any(major == own[0] and minor <= own[1] for major, minor in map(_pair, archs)):
        return True
    return any(_pair(entry) <= own for entry in ptx)


def _pair(compute_capability: str) -> tuple[int, int]:
    major, _, minor = compute_capability.partition(".")
    return int(major), int(minor or 0)
