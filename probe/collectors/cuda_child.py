"""Asks the CUDA driver itself and prints one line of JSON.

Run as a child, since a broken driver hangs or crashes whoever asks it.
Standard library only, so that it starts fast and depends on nothing of ours.
"""

import ctypes
import json
import sys
from typing import Any

# cuda.h, CUdevice_attribute.
ATTRIBUTES = {
    "integrated": 18,
    "pci_bus": 33,
    "pci_device": 34,
    "pci_domain": 50,
    "major": 75,
    "minor": 76,
    "pageable_memory_access": 88,
    "concurrent_managed_access": 89,
}
_LIBRARIES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")


def main() -> None:
    """Prints {"error": [step, code]} or versions and devices; `context` also makes a context on each."""
    print(json.dumps(ask_driver(with_context="context" in sys.argv[1:])))  # noqa: T201 - the answer of a child


def ask_driver(*, with_context: bool) -> dict[str, Any]:
    """What the driver answers, step by step until the first error."""
    driver = _load()
    if driver is None:
        return {"error": ["load", None]}
    code = driver.cuInit(0)
    if code:
        return {"error": ["cuInit", code]}
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return {"error": ["cuDeviceGetCount", code], "version": version.value}
    devices = [_device(driver, index, with_context=with_context) for index in range(count.value)]
    return {"version": version.value, "devices": devices}


def _load() -> Any:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _device(driver: Any, index: int, *, with_context: bool) -> dict[str, Any]:
    handle = ctypes.c_int()
    code = driver.cuDeviceGet(ctypes.byref(handle), index)
    if code:
        return {"error": ["cuDeviceGet", code]}
    told: dict[str, Any] = {}
    name = ctypes.create_string_buffer(256)
    if driver.cuDeviceGetName(name, 256, handle) == 0:
        told["name"] = name.value.decode("utf-8", "replace")
    total = ctypes.c_size_t()
    if driver.cuDeviceTotalMem_v2(ctypes.byref(total), handle) == 0:
        told["total_bytes"] = total.value
    for key, number in ATTRIBUTES.items():
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), number, handle) == 0:
            told[key] = value.value
    if with_context:
        context, free = ctypes.c_void_p(), ctypes.c_size_t()
        code = driver.cuCtxCreate_v2(ctypes.byref(context), 0, handle)
        if code:
            told["error"] = ["cuCtxCreate", code]
        else:
            if driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0:
                told["free_bytes"] = free.value
            driver.cuCtxDestroy_v2(context)
    return told


if __name__ == "__main__":
    main()
