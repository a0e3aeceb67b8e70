"""NVIDIA's management library on this machine, through the real bindings.

The library is opened by the loader's own search first and pynvml imported only
when that works: most machines have none and should not pay for the import.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from probe.collectors import nvml_session as codes
from probe.collectors.answers import Failure
from probe.collectors.nvml_session import Argument, NvmlDevice, NvmlError, NvmlValue
from probe.collectors.state_codes import INIT_STATES
from probe.machine.attempt import AttemptResult

if TYPE_CHECKING:
    import ctypes

_T = TypeVar("_T")

# Where the library lies when the loader's search does not know the folder. WSL puts the Windows driver's
# copy beside its own programs; NixOS, Container-Optimized OS and the device plugin have folders of their own.
_ELSEWHERE: Final = (
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/home/kubernetes/bin/nvidia/lib64/libnvidia-ml.so.1",
)
_SONAME: Final = "libnvidia-ml.so.1"
_FIELD_NVLINK_SPEED: Final = 90  # NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, nvml.h


class _Paths(Protocol):
    def exists(self, path: str) -> bool:
        """Whether a file stands there."""


def open_nvml(host: _Paths) -> "LiveNvml | Failure":
    """The initialised library, or why not: absent, broken, refused or out of step with the kernel module."""
    opened = _open_library(host)
    if isinstance(opened, Failure):
        return opened
    library, name = opened
    try:
        import pynvml
    except ImportError as error:
        return Failure(AttemptResult.FAILED, f"nvidia-ml-py is missing: {error}", "binding_missing")
    if pynvml.nvmlLib is None and library is not None:
        # The bindings' own search turns every failure into "not found" and knows fewer folders.
        pynvml.nvmlLib = library
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return init_failure(int(error.value))
    return LiveNvml(pynvml, name)


def init_failure(code: int) -> Failure:
    """An error code of nvmlInit as a Failure that names the state it leaves the cards in."""
    state = INIT_STATES.get(code, "nvml_error")
    denied = code in (codes.NO_PERMISSION, codes.OPERATING_SYSTEM)
    absent = code == codes.LIBRARY_NOT_FOUND
    result = AttemptResult.DENIED if denied else AttemptResult.ABSENT if absent else AttemptResult.FAILED
    return Failure(result, f"nvmlInit: {NvmlError(code).name}", state)


def _open_library(host: _Paths) -> "tuple[ctypes.CDLL | None, str] | Failure":
    """The library by name, then in folders outside the search; a broken one is not an absent one."""
    already = sys.modules.get("pynvml")
    if already is not None and already.nvmlLib is not None:
        return None, "already loaded"
    import ctypes

    broken: str | None = None
    for name in _candidates(host):
        try:
            return ctypes.CDLL(name), name
        except OSError as error:
            if not _is_missing(name, str(error)):
                broken = str(error)
    if broken:
        return Failure(AttemptResult.FAILED, f"library found but not loadable: {broken}", "library_broken")
    return Failure(
        AttemptResult.ABSENT,
        f"{_SONAME if os.name == 'posix' else 'nvml.dll'} not found",
        "library_not_found",
    )


def _is_missing(name: str, text: str) -> bool:
    """Whether the loader found no such library, rather than one it could not load.

    glibc names the found file, or the missing dependency, when the library itself was there;
    musl writes "Error loading shared library NAME: No such file".
    """
    if sys.platform == "win32":
        return not os.path.exists(name)  # noqa: PTH110 - the loader's text is localised there
    if sys.platform == "darwin":
        return True  # no NVIDIA driver exists for this system
    return "No such file" in text and (text.startswith(f"{name}:") or f"library {name}:" in text)


def _candidates(host: _Paths) -> tuple[str, ...]:
    if sys.platform == "win32":
        windows = os.environ.get("WINDIR", r"C:\Windows")
        programs = os.environ.get("ProgramFiles", r"C:\Program Files")  # noqa: SIM112 - its own spelling
        return (
            rf"{windows}\System32\nvml.dll",
            rf"{programs}\NVIDIA Corporation\NVSMI\nvml.dll",
        )
    return (_SONAME, *(path for path in _ELSEWHERE if host.exists(path)))


class LiveNvml:
    """An NvmlSession over pynvml."""

    def __init__(self, bindings: Any, library: str) -> None:
        self._nvml = bindings
        self._library = library
        self._handles: dict[str, Any] = {}
        # Seen: a constant that is a tuple by a stray comma raises ctypes.ArgumentError, not NVMLError.
        self._binding_errors = (
            AttributeError,
            TypeError,
            ValueError,
            OSError,
            _argument_error(),
        )
        # A getter that an old driver lacks in its newest form raises this one, which is no NVMLError.
        self._mismatch: type[Exception] = getattr(bindings, "NVMLLibraryMismatchError", bindings.NVMLError)

    @property
    def library(self) -> str:
        """The name under which the loader found it."""
        return self._library

    def ask(self, getter: str, *arguments: Argument) -> NvmlValue | NvmlError:
        """See NvmlSession.ask. Three getters need arguments that a recording cannot hold."""
        plain = [self._handles.get(item.key) if isinstance(item, NvmlDevice) else item for item in arguments]
        if getter == "nvmlDeviceGetMemoryInfo_v2":
            return self._guarded(
                lambda: _plain(self._nvml.nvmlDeviceGetMemoryInfo(plain[0], version=self._nvml.nvmlMemory_v2))
            )
        if getter == "nvlink_speed_mb_per_s":
            return self._guarded(lambda: self._field(plain[0], _FIELD_NVLINK_SPEED))
        return self._guarded(lambda: _plain(getattr(self._nvml, getter)(*plain)))

    def device(self, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.device."""
        return self._handle(f"gpu{index}", "nvmlDeviceGetHandleByIndex", index)

    def mig_device(self, parent: NvmlDevice, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.mig_device."""
        handle = self._handles.get(parent.key)
        return self._handle(f"{parent.key}/mig{index}", "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)

    def close(self) -> None:
        """nvmlShutdown; a library that refuses even that is left alone."""
        with contextlib.suppress(self._nvml.NVMLError, OSError):
            self._nvml.nvmlShutdown()

    def _handle(self, key: str, getter: str, *arguments: Any) -> NvmlDevice | NvmlError:
        def found() -> NvmlDevice:
            self._handles[key] = getattr(self._nvml, getter)(*arguments)
            return NvmlDevice(key)

        return self._guarded(found)

    def _guarded(self, asked: Callable[[], _T]) -> _T | NvmlError:
        """What the library answers; its error, or the bindings' own, as a value."""
        try:
            return asked()
        except self._nvml.NVMLError as error:
            return NvmlError(int(error.value))
        except self._mismatch:
            return NvmlError(codes.FUNCTION_NOT_FOUND)
        except self._binding_errors as error:
            return NvmlError(codes.BINDING, f"{type(error).__name__}: {error}")

    def _field(self, handle: Any, field: int) -> NvmlValue | NvmlError:
        values = self._nvml.nvmlDeviceGetFieldValues(handle, [field])
        if values[0].nvmlReturn != codes.SUCCESS:
            return NvmlError(int(values[0].nvmlReturn))
        # valueType 1 is unsigned int, 2 and 3 are longer integers (nvml.h, nvmlValueType_t).
        value = values[0].value
        return int(value.uiVal) if values[0].valueType == 1 else int(value.ullVal)


def _argument_error() -> type[Exception]:
    import ctypes

    return ctypes.ArgumentError


def _plain(value: Any) -> NvmlValue:
    """Structures as mappings, arrays as lists, bytes as text: what JSON can hold."""
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    fields = getattr(value, "_fields_", None)
    if fields is not None:
        return {field[0]: _plain(getattr(value, field[0])) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) or hasattr(value, "__getitem__"):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in vars(value).items()}
