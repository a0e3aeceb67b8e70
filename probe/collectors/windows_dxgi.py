"""What DirectX says of the graphics adapters: the memory Windows gives them, and the share of RAM."""

import ctypes
from typing import Any, Final

from probe.collectors.answers import Failure, Plain
from probe.machine.attempt import AttemptResult

_MOST_ADAPTERS: Final = 32
_NOT_FOUND: Final = 0x887A0002  # DXGI_ERROR_NOT_FOUND: no further adapter
_SOFTWARE: Final = 2  # DXGI_ADAPTER_FLAG_SOFTWARE
# Places in the tables of methods, counted over the inherited interfaces (dxgi.h).
_RELEASE: Final = 2
_ENUM_ADAPTERS1: Final = 12  # IDXGIFactory1
_GET_DESC1: Final = 10  # IDXGIAdapter1


class _Guid(ctypes.Structure):
    _fields_ = (
        ("a", ctypes.c_uint32),
        ("b", ctypes.c_uint16),
        ("c", ctypes.c_uint16),
        ("d", ctypes.c_uint8 * 8),
    )


class _AdapterDescription(ctypes.Structure):
    """DXGI_ADAPTER_DESC1; the text is kept as 16-bit units, as wide characters differ by system."""

    _fields_ = (
        ("description", ctypes.c_uint16 * 128),
        ("vendor", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("subsystem", ctypes.c_uint32),
        ("revision", ctypes.c_uint32),
        ("dedicated_video", ctypes.c_size_t),
        ("dedicated_system", ctypes.c_size_t),
        ("shared_system", ctypes.c_size_t),
        ("luid_low", ctypes.c_uint32),
        ("luid_high", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


# IDXGIFactory1 {770aae78-f26f-4dba-a829-253c83d1b387}
_FACTORY1: Final = _Guid(
    0x770AAE78, 0xF26F, 0x4DBA, (ctypes.c_uint8 * 8)(0xA8, 0x29, 0x25, 0x3C, 0x83, 0xD1, 0xB3, 0x87)
)


def adapters() -> Plain | Failure:
    """All adapters of DirectX, software ones marked; no device is created and no driver started."""
    library = getattr(ctypes, "WinDLL")("dxgi")  # noqa: B009 - exists on Windows only
    factory = ctypes.c_void_p()
    code = _code(library.CreateDXGIFactory1(ctypes.byref(_FACTORY1), ctypes.byref(factory)))
    if code:
        return Failure(AttemptResult.FAILED, f"CreateDXGIFactory1: 0x{code:08x}")
    found: list[Plain] = []
    try:
        for index in range(_MOST_ADAPTERS):
            adapter = ctypes.c_void_p()
            enumerate_one = _method(factory, _ENUM_ADAPTERS1, ctypes.c_uint32, ctypes.c_void_p)
            code = _code(enumerate_one(factory, index, ctypes.byref(adapter)))
            if code == _NOT_FOUND:
                break
            if code:
                return Failure(AttemptResult.FAILED, f"EnumAdapters1: 0x{code:08x}")
            try:
                description = _AdapterDescription()
                get = _method(adapter, _GET_DESC1, ctypes.c_void_p)
                if not _code(get(adapter, ctypes.byref(description))):
                    found.append(_plain(description))
            finally:
                _method(adapter, _RELEASE)(adapter)
    finally:
        _method(factory, _RELEASE)(factory)
    return found


def _method(thing: ctypes.c_void_p, place: int, *types: Any) -> Any:
    """A method of a COM object by its place in the object's table."""
    table = ctypes.cast(thing, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    prototype = getattr(ctypes, "WINFUNCTYPE")(ctypes.c_uint32, ctypes.c_void_p, *types)  # noqa: B009 - as above
    return prototype(table[place])


def _code(result: int) -> int:
    return result & 0xFFFFFFFF


def _plain(description: _AdapterDescription) -> Plain:
    units = bytes(description.description)
    return {
        "name": units.decode("utf-16-le", errors="replace").split("\0", 1)[0],
        "vendor": f"{description.vendor:04x}",
        "device": f"{description.device:04x}",
        "dedicated_video_bytes": int(description.dedicated_video),
        "dedicated_system_bytes": int(description.dedicated_system),
        "shared_system_bytes": int(description.shared_system),
        "software": bool(description.flags & _SOFTWARE),
    }
