"""Measures NVIDIA memory and links through the driver API, in a process of its own.

Run as `python cuda_child.py`: prints one JSON line a figure, so that what was measured
before a driver hangs or crashes is kept. No toolkit, no kernel: copies by the driver,
timed by its events. It imports nothing of this program.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any, Final

MIB: Final = 1024 * 1024
DEVICE_BYTES: Final = 512 * MIB
HOST_BYTES: Final = 128 * MIB
RUNS: Final = 6
_MEMORY_SHARE: Final = 4  # at most a quarter of what is free
_NAMES: Final = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")


class CudaError(Exception):
    """A driver call that did not return 0."""


class Driver:
    """The few functions of libcuda that copying and timing need."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        """One function; versioned names first, as headers map them.

        Raises:
            CudaError: it returned an error, or the driver does not have it.
        """
        function = getattr(self._library, f"{name}_v2", None) or getattr(self._library, name, None)
        if function is None:
            raise CudaError(f"{name} missing")
        code = function(*arguments)
        if code:
            raise CudaError(f"{name} {code}")

    def number(self, name: str, *arguments: Any) -> int:
        """A function that writes one int."""
        value = ctypes.c_int(0)
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def pointer(self, name: str, size: int, *flags: Any) -> ctypes.c_void_p:
        """A function that writes one address."""
        value = ctypes.c_void_p()
        self.call(name, ctypes.byref(value), ctypes.c_size_t(size), *flags)
        return value

    def handle(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """A function that writes one handle."""
        value = ctypes.c_void_p()
        self.call(name, ctypes.byref(value), *arguments)
        return value


def load_driver() -> Any:
    """libcuda by the loader's own search.

    Raises:
        OSError: there is none.
    """
    failure: OSError | None = None
    for name in _NAMES:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            failure = error
    raise failure or OSError(_NAMES[0])


def bus_id(driver: Driver, device: int) -> str:
    """`0000:01:00.0`, as NVML and the system write it."""
    text = ctypes.create_string_buffer(32)
    driver.call("cuDeviceGetPCIBusId", text, ctypes.c_int(len(text)), ctypes.c_int(device))
    return text.value.decode("ascii", "replace").lower()


def timed(driver: Driver, size: int, copy: Callable[[], None]) -> tuple[float, float]:
    """Lowest and best bytes a second of several copies; the first warms up."""
    begin, end = (driver.handle("cuEventCreate", ctypes.c_uint(0)) for _ in range(2))
    rates = []
    for run in range(RUNS + 1):
        driver.call("cuEventRecord", begin, None)
        copy()
        driver.call("cuEventRecord", end, None)
        driver.call("cuEventSynchronize", end)
        elapsed = ctypes.c_float(0)
        driver.call("cuEventElapsedTime", ctypes.byref(elapsed), begin, end)
        if run and elapsed.value > 0:
            rates.append(size / (elapsed.value / 1000))
    return (min(rates), max(rates)) if rates else (0.0, 0.0)


def measure_device(driver: Driver, device: int, say: Callable[..., None]) -> ctypes.c_void_p:
    """VRAM and host link of one device; returns its context."""
    context = driver.handle("cuDevicePrimaryCtxRetain", ctypes.c_int(device))
    driver.call("cuCtxSetCurrent", context)
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    driver.call("cuMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    size = min(DEVICE_BYTES, free.value // _MEMORY_SHARE // 2 // MIB * MIB)
    first, second = (driver.pointer("cuMemAlloc", size) for _ in range(2))
    driver.call("cuMemsetD8", first, ctypes.c_ubyte(1), ctypes.c_size_t(size))
    name = bus_id(driver, device)
    # Every byte is read once and written once.
    low, best = timed(
        driver,
        2 * size,
        lambda: driver.call("cuMemcpyDtoDAsync", second, first, ctypes.c_size_t(size), None),
    )
    say("vram_copy_bytes_per_s", name, low, best)
    block = min(HOST_BYTES, size)
    host = driver.pointer("cuMemAllocHost", block)
    for what, function, arguments in (
        ("host_to_device_bytes_per_s", "cuMemcpyHtoDAsync", (first, host)),
        ("device_to_host_bytes_per_s", "cuMemcpyDtoHAsync", (host, first)),
    ):
        low, best = timed(
            driver,
            block,
            lambda f=function, a=arguments: driver.call(f, *a, ctypes.c_size_t(block), None),  # type: ignore[misc]  # bound now, called at once
        )
        say(what, name, low, best)
    driver.call("cuMemFreeHost", host)
    driver.call("cuMemFree", first)
    driver.call("cuMemFree", second)
    return context


def measure_pair(
    driver: Driver, devices: tuple[int, int], contexts: tuple[Any, Any], say: Callable[..., None]
) -> None:
    """The road from one device to another, and whether they reach each other without the host."""
    source, target = devices
    reach = driver.number("cuDeviceCanAccessPeer", ctypes.c_int(target), ctypes.c_int(source))
    blocks = []
    for context in contexts:
        driver.call("cuCtxSetCurrent", context)
        blocks.append(driver.pointer("cuMemAlloc", HOST_BYTES))
    driver.call("cuCtxSetCurrent", contexts[1])
    if reach:
        try:
            driver.call("cuCtxEnablePeerAccess", contexts[0], ctypes.c_uint(0))
        except CudaError:
            reach = 0
    size = ctypes.c_size_t(HOST_BYTES)
    low, best = timed(
        driver,
        HOST_BYTES,
        lambda: driver.call("cuMemcpyPeerAsync", blocks[1], contexts[1], blocks[0], contexts[0], size, None),
    )
    say(
        "device_to_device_bytes_per_s",
        bus_id(driver, source),
        low,
        best,
        to=bus_id(driver, target),
        peer_access=bool(reach),
    )
    for context, block in zip(contexts, blocks, strict=True):
        driver.call("cuCtxSetCurrent", context)
        driver.call("cuMemFree", block)


def write(**entry: object) -> None:
    """One line of the answer."""
    print(json.dumps(entry), flush=True)  # noqa: T201 - the answer of a child


def main() -> int:
    """Measure every device and every neighbour; 0 when the driver works."""

    def say(what: str, device: str, low: float, best: float, **more: object) -> None:
        write(what=what, device=device, low=low, best=best, **more)

    try:
        driver = Driver(load_driver())
        driver.call("cuInit", ctypes.c_uint(0))
        count = driver.number("cuDeviceGetCount")
    except (OSError, CudaError) as error:
        write(error=str(error))
        return 1
    contexts: list[Any] = []
    for device in range(count):
        try:
            contexts.append(measure_device(driver, device, say))
        except CudaError as error:
            contexts.append(None)
            write(error=str(error), index=device)
    for source in range(count - 1):
        pair = (contexts[source], contexts[source + 1])
        if None in pair:
            continue
        try:
            measure_pair(driver, (source, source + 1), pair, say)
        except CudaError as error:
            write(error=str(error), index=source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
