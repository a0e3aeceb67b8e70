"""How much memory a graphics card has, asked of its Linux driver through its render node.

Needed for Intel cards on the kernel's own i915 driver, which has no file that
says it. Layouts: include/uapi/drm/i915_drm.h and xe_drm.h of Linux 6.12.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from typing import Final

from probe.collectors.answers import Failure, Plain
from probe.machine.attempt import AttemptResult

# _IOWR('d', 0x40 + number, size): direction 3, size, type 0x64, number.
_I915_QUERY: Final = 0xC0106479
_I915_MEMORY_REGIONS: Final = 4
_I915_ITEM: Final = struct.Struct("<QiIQ")
_I915_REQUEST: Final = struct.Struct("<IIQ")
_I915_HEADER: Final = 16
_I915_REGION: Final = struct.Struct("<HHIQQ64x")
_XE_QUERY: Final = 0xC0286440
_XE_MEMORY_REGIONS: Final = 1
_XE_REQUEST: Final = struct.Struct("<QIIQ16x")
_XE_HEADER: Final = 8
_XE_REGION: Final = struct.Struct("<HHIQQ64x")
_DEVICE_MEMORY: Final = 1  # I915_MEMORY_CLASS_DEVICE and DRM_XE_MEM_REGION_CLASS_VRAM
_MOST_BYTES: Final = 65536

_Ioctl = Callable[[int, int, bytearray], None]


def memory_regions(arguments: Sequence[int | str]) -> Plain | Failure:
    """[is device memory, total, free] of each region; arguments: driver, render node."""
    import fcntl

    driver, path = str(arguments[0]), str(arguments[1])
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:

        def control(node: int, request: int, block: bytearray) -> None:
            fcntl.ioctl(node, request, block, True)

        ask = i915_regions if driver == "i915" else xe_regions
        return ask(descriptor, control)
    finally:
        os.close(descriptor)


def i915_regions(descriptor: int, control: _Ioctl) -> Plain | Failure:
    """Asks twice: first for the answer's length, then for the answer."""
    item = bytearray(_I915_ITEM.pack(_I915_MEMORY_REGIONS, 0, 0, 0))
    place = (ctypes.c_char * len(item)).from_buffer(item)
    request = _I915_REQUEST.pack(1, 0, ctypes.addressof(place))
    control(descriptor, _I915_QUERY, bytearray(request))
    length = _I915_ITEM.unpack(bytes(item))[1]
    if not _I915_HEADER <= length <= _MOST_BYTES:
        return Failure(AttemptResult.FAILED, f"answer of {length} bytes")
    answer = (ctypes.c_char * length)()
    item[:] = _I915_ITEM.pack(_I915_MEMORY_REGIONS, length, 0, ctypes.addressof(answer))
    control(descriptor, _I915_QUERY, bytearray(request))
    return parse_i915(answer.raw)


def xe_regions(descriptor: int, control: _Ioctl) -> Plain | Failure:
    """Asks twice, as above."""
    block = bytearray(_XE_REQUEST.pack(0, _XE_MEMORY_REGIONS, 0, 0))
    control(descriptor, _XE_QUERY, block)
    length = _XE_REQUEST.unpack(bytes(block))[2]
    if not _XE_HEADER <= length <= _MOST_BYTES:
        return Failure(AttemptResult.FAILED, f"answer of {length} bytes")
    answer = (ctypes.c_char * length)()
    block[:] = _XE_REQUEST.pack(0, _XE_MEMORY_REGIONS, length, ctypes.addressof(answer))
    control(descriptor, _XE_QUERY, block)
    return parse_xe(answer.raw)


def parse_i915(raw: bytes) -> Plain:
    """struct drm_i915_query_memory_regions; without CAP_PERFMON all of it is said to be free: unknown."""
    count = min(struct.unpack_from("<I", raw)[0], (len(raw) - _I915_HEADER) // _I915_REGION.size)
    rows = (_I915_REGION.unpack_from(raw, _I915_HEADER + index * _I915_REGION.size) for index in range(count))
    return [[kind == _DEVICE_MEMORY, total, free if free < total else -1] for kind, _, _, total, free in rows]


def parse_xe(raw: bytes) -> Plain:
    """struct drm_xe_query_mem_regions; without CAP_PERFMON nothing is said to be used: unknown."""
    count = min(struct.unpack_from("<I", raw)[0], (len(raw) - _XE_HEADER) // _XE_REGION.size)
    rows = (_XE_REGION.unpack_from(raw, _XE_HEADER + index * _XE_REGION.size) for index in range(count))
    return [[kind == _DEVICE_MEMORY, total, total - used if used else -1] for kind, _, _, total, used in rows]
