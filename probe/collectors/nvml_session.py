"""What collectors may ask NVIDIA's management library, live or replayed.

A question is the C name of a getter; the answer is plain data or an NvmlError,
for each getter by itself: one that fails never costs the others.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, Union

import msgspec

# Written as Union because a name in quotes takes no `|` on 3.10.
NvmlValue: TypeAlias = Union[int, float, str, Sequence["NvmlValue"], Mapping[str, "NvmlValue"], None]  # noqa: UP007

SUCCESS = 0
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_POWER = 8
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
IRQ_ISSUE = 11
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
IN_USE = 19
MEMORY = 20
NO_DATA = 21
INSUFFICIENT_RESOURCES = 23
UNKNOWN = 999
BINDING = -1  # the Python binding itself failed: wrong argument types, missing function, odd bytes

NAMES = {
    1: "Uninitialized",
    2: "InvalidArgument",
    3: "NotSupported",
    4: "NoPermission",
    5: "AlreadyInitialized",
    6: "NotFound",
    7: "InsufficientSize",
    8: "InsufficientPower",
    9: "DriverNotLoaded",
    10: "Timeout",
    11: "IrqIssue",
    12: "LibraryNotFound",
    13: "FunctionNotFound",
    14: "CorruptedInforom",
    15: "GpuIsLost",
    16: "ResetRequired",
    17: "OperatingSystem",
    18: "LibRmVersionMismatch",
    19: "InUse",
    20: "Memory",
    21: "NoData",
    22: "VgpuEccNotSupported",
    23: "InsufficientResources",
    24: "FreqNotSupported",
    25: "ArgumentVersionMismatch",
    26: "Deprecated",
    27: "NotReady",
    28: "GpuNotFound",
    29: "InvalidState",
    999: "Unknown",
    BINDING: "BindingError",
}


class NvmlError(msgspec.Struct, frozen=True):
    """A return code that is not success."""

    code: int
    detail: str = ""

    @property
    def name(self) -> str:
        """`GpuIsLost (15)`: how NVIDIA's own documentation writes it."""
        return f"{NAMES.get(self.code, 'Error')} ({self.code})"


class NvmlDevice(msgspec.Struct, frozen=True):
    """A handle by a name that a recording can hold: `gpu0`, `gpu0/mig1`."""

    key: str


Argument: TypeAlias = int | str | NvmlDevice


class NvmlSession(Protocol):
    """An initialised library."""

    @property
    def library(self) -> str:
        """The file or name it was loaded from."""

    def ask(self, getter: str, *arguments: Argument) -> NvmlValue | NvmlError:
        """One getter's answer, structures as mappings, text decoded."""

    def device(self, index: int) -> NvmlDevice | NvmlError:
        """The device with this NVML index; refused ones answer with their error."""

    def mig_device(self, parent: NvmlDevice, index: int) -> NvmlDevice | NvmlError:
        """One MIG slice of a device; empty places answer NotFound."""

    def close(self) -> None:
        """Shut the library down."""
