"""A stand-in for libnvidia-ml, called through the real bindings.

`pynvml.nvmlLib` is replaced by an object whose methods have the C names; the
bindings fill structures and buffers exactly as with the real library. What a
device answers is written as a mapping from C name to value:

- a number, text, tuple of numbers (several out-parameters) or mapping (fields of a structure)
- Error(code): the function returns that code
- ByArgument({2: 10501}): the answer depends on the argument after the handle
- Rows([...]): a list that is fetched in two calls
- anything callable: full control, gets the C arguments and returns the code

A name no device has answers NotSupported (3); names in `missing` do not exist
in this version of the library.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pynvml

NOT_SUPPORTED = 3
INVALID_ARGUMENT = 2
INSUFFICIENT_SIZE = 7
NOT_FOUND = 6


class Error(int):
    """A return code."""


class ByArgument(dict[Any, Any]):
    """Answers by the argument after the handle."""


class Rows(list[dict[str, int]]):
    """Rows of structures, as for running processes."""


class FakeNvmlLibrary:
    """The library: system answers, devices, and MIG slices under `mig` of a device."""

    def __init__(
        self,
        *devices: Mapping[str, Any] | Error,
        driver: str = "580.95.05",
        cuda: int | Error = 13000,
        init: int = 0,
        missing: Sequence[str] = (),
    ) -> None:
        self._devices = devices
        self._slices: list[Mapping[str, Any]] = []
        self._system: dict[str, Any] = {
            "nvmlSystemGetDriverVersion": driver,
            "nvmlSystemGetCudaDriverVersion_v2": cuda,
            "nvmlSystemGetCudaDriverVersion": cuda,
        }
        self._init = init
        self._missing = frozenset(missing)
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> "_Function":
        if not name.startswith("nvml") or name in self._missing:
            raise AttributeError(name)
        return _Function(self, name)

    def call(self, name: str, arguments: tuple[Any, ...]) -> int:
        self.calls.append(name)
        if name in ("nvmlInitWithFlags", "nvmlInit_v2"):
            return self._init
        if name == "nvmlShutdown":
            return 0
        if name == "nvmlDeviceGetCount_v2":
            return _write(len(self._devices), arguments)
        if name == "nvmlDeviceGetHandleByIndex_v2":
            index = arguments[0].value
            device = self._devices[index] if index < len(self._devices) else Error(INVALID_ARGUMENT)
            return int(device) if isinstance(device, Error) else _point(arguments[1], index + 1)
        if name == "nvmlDeviceGetMigDeviceHandleByIndex":
            slices = self._answers(arguments[0]).get("mig", {})
            index = arguments[1].value
            if index not in slices:
                return NOT_FOUND
            self._slices.append(slices[index])
            return _point(arguments[2], -len(self._slices))
        if name.startswith("nvmlSystem"):
            return _write(self._system.get(name, Error(NOT_SUPPORTED)), arguments)
        return _answer(self._answers(arguments[0]).get(name, Error(NOT_SUPPORTED)), arguments[1:])

    def _answers(self, handle: Any) -> Mapping[str, Any]:
        number = ctypes.c_ssize_t(ctypes.cast(handle, ctypes.c_void_p).value or 0).value
        device = self._slices[-number - 1] if number < 0 else self._devices[number - 1]
        assert not isinstance(device, Error)
        return device


class _Function:
    """A function pointer: callable, and its restype may be set."""

    restype: Any = None

    def __init__(self, library: FakeNvmlLibrary, name: str) -> None:
        self._library = library
        self._name = name

    def __call__(self, *arguments: Any) -> int:
        return self._library.call(self._name, arguments)


def _answer(value: Any, arguments: tuple[Any, ...]) -> int:
    if isinstance(value, ByArgument):
        key = arguments[0].value if hasattr(arguments[0], "value") else arguments[0]
        return _write(value.get(key, Error(INVALID_ARGUMENT)), arguments[1:])
    if callable(value):
        answered: int = value(*arguments)
        return answered
    if isinstance(value, Rows):
        return _write_rows(value, arguments)
    return _write(value, arguments)


def _write(value: Any, arguments: tuple[Any, ...]) -> int:
    """Puts a value into the out-parameters that the bindings passed."""
    if isinstance(value, Error):
        return int(value)
    if isinstance(value, str | bytes):
        arguments[0].value = value.encode() if isinstance(value, str) else value
    elif isinstance(value, tuple):
        for place, part in zip(arguments, value, strict=True):
            place._obj.value = part
    elif isinstance(value, Mapping):
        for field, part in value.items():
            setattr(arguments[-1]._obj, field, part)
    else:
        arguments[-1]._obj.value = value
    return 0


def _write_rows(rows: Rows, arguments: tuple[Any, ...]) -> int:
    count, array = arguments
    if not rows:
        count._obj.value = 0
        return 0
    if array is None:
        count._obj.value = len(rows)
        return INSUFFICIENT_SIZE
    for place, row in zip(array, rows, strict=False):
        for field, value in row.items():
            setattr(place, field, value)
    count._obj.value = len(rows)
    return 0


def _point(place: Any, number: int) -> int:
    """A handle that is only a number."""
    ctypes.c_ssize_t.from_address(ctypes.addressof(place._obj)).value = number
    return 0


@contextmanager
def installed(library: FakeNvmlLibrary) -> Iterator[FakeNvmlLibrary]:
    """The library in place of the real one; the bindings' caches are emptied before and after."""
    _reset(library)
    try:
        yield library
    finally:
        _reset(None)


def _reset(library: FakeNvmlLibrary | None) -> None:
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = library
    pynvml._nvmlLib_refcount = 0


def field_value(field: int, value: int) -> Callable[..., int]:
    """nvmlDeviceGetFieldValues for one field."""

    def answer(_count: Any, array: Any) -> int:
        for row in array._obj:
            row.nvmlReturn = 0 if row.fieldId == field else NOT_SUPPORTED
            row.valueType = 1
            row.value.uiVal = value
        return 0

    return answer
