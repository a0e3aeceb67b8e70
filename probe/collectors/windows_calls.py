"""Questions to Windows itself, by name; called only on a live Windows, none needs administrator rights.

Structures come back as bytes, so that their parsers run and are tested anywhere.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from probe.collectors.answers import Failure, Plain
from probe.machine.attempt import AttemptResult

_RSMB: Final = 0x52534D42
_MOST_BYTES: Final = 1024 * 1024
_CURRENT_PROCESS: Final = -1
# cfgmgr32.h
_FILTER_ENUMERATOR: Final = 0x1
_FILTER_PRESENT: Final = 0x100
_FILTER_CLASS: Final = 0x200
_CR_SUCCESS: Final = 0
_HAS_PROBLEM: Final = 0x400  # DN_HAS_PROBLEM, cfg.h
# winioctl.h
_QUERY_PROPERTY: Final = 0x2D1400  # IOCTL_STORAGE_QUERY_PROPERTY
_DEVICE_PROPERTY: Final = 0
_SEEK_PENALTY_PROPERTY: Final = 7
_SHARE_READ_WRITE: Final = 3
_OPEN_EXISTING: Final = 3
_JOB_BYTES: Final = {9: 144, 15: 8, 28: 16}  # information class -> size of its structure, 64-bit

_DWORD = ctypes.c_uint32
_HANDLE = ctypes.c_void_p


def _library(name: str) -> Any:
    """A system library of our own, so that argument types set here are nobody else's."""
    return getattr(ctypes, "WinDLL")(name, use_last_error=True)  # noqa: B009 - exists on Windows only


def _last_error() -> int:
    return int(getattr(ctypes, "get_last_error")())  # noqa: B009 - exists on Windows only


def _failed(call: str) -> Failure:
    code = _last_error()
    denied = code == 5  # ERROR_ACCESS_DENIED
    return Failure(AttemptResult.DENIED if denied else AttemptResult.FAILED, f"{call}: Windows error {code}")


def firmware_table(arguments: Sequence[int | str]) -> Plain | Failure:
    """The raw SMBIOS table with Windows' header of 8 bytes."""
    if list(arguments) != ["RSMB"]:
        return Failure(AttemptResult.FAILED, "only RSMB is asked")
    kernel32 = _library("kernel32")
    kernel32.GetSystemFirmwareTable.argtypes = (_DWORD, _DWORD, ctypes.c_void_p, _DWORD)
    size = kernel32.GetSystemFirmwareTable(_RSMB, 0, None, 0)
    if not 0 < size <= _MOST_BYTES:
        return _failed("GetSystemFirmwareTable")
    buffer = ctypes.create_string_buffer(size)
    got = kernel32.GetSystemFirmwareTable(_RSMB, 0, buffer, size)
    return buffer.raw[:got] if 0 < got <= size else _failed("GetSystemFirmwareTable")


def installed_memory(_: Sequence[int | str]) -> Plain | Failure:
    """KiB of RAM in the slots, by the firmware: more than Windows sees where the firmware keeps some."""
    kib = ctypes.c_uint64(0)
    if not _library("kernel32").GetPhysicallyInstalledSystemMemory(ctypes.byref(kib)):
        return _failed("GetPhysicallyInstalledSystemMemory")
    return kib.value


def job_information(arguments: Sequence[int | str]) -> Plain | Failure:
    """One information class of the job that holds this process; absent outside any job."""
    kind = int(arguments[0])
    size = _JOB_BYTES[kind]
    kernel32 = _library("kernel32")
    inside = ctypes.c_int(0)
    kernel32.IsProcessInJob.argtypes = (_HANDLE, _HANDLE, ctypes.POINTER(ctypes.c_int))
    if not kernel32.IsProcessInJob(_CURRENT_PROCESS, None, ctypes.byref(inside)):
        return _failed("IsProcessInJob")
    if not inside.value:
        return Failure(AttemptResult.ABSENT, "not in a job")
    kernel32.QueryInformationJobObject.argtypes = (
        _HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        _DWORD,
        ctypes.c_void_p,
    )
    buffer = ctypes.create_string_buffer(size)
    if not kernel32.QueryInformationJobObject(None, kind, buffer, size, None):
        return _failed("QueryInformationJobObject")
    return buffer.raw


def power_status(_: Sequence[int | str]) -> Plain | Failure:
    """The 12 bytes of SYSTEM_POWER_STATUS."""
    buffer = ctypes.create_string_buffer(12)
    if not _library("kernel32").GetSystemPowerStatus(buffer):
        return _failed("GetSystemPowerStatus")
    return buffer.raw


def processor_information(arguments: Sequence[int | str]) -> Plain | Failure:
    """Entries of one relationship: 0 cores, 3 packages."""
    kernel32 = _library("kernel32")
    ask = kernel32.GetLogicalProcessorInformationEx
    ask.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_DWORD))
    size = _DWORD(0)
    ask(int(arguments[0]), None, ctypes.byref(size))
    if not 0 < size.value <= _MOST_BYTES:
        return _failed("GetLogicalProcessorInformationEx")
    buffer = ctypes.create_string_buffer(size.value)
    if not ask(int(arguments[0]), buffer, ctypes.byref(size)):
        return _failed("GetLogicalProcessorInformationEx")
    return buffer.raw[: size.value]


def extended_states(_: Sequence[int | str]) -> Plain | Failure:
    """Register states that Windows saves across task switches, as a mask (bit 18: AMX tiles)."""
    ask = _library("kernel32").GetEnabledXStateFeatures
    ask.restype = ctypes.c_uint64
    return int(ask())


def present_devices(arguments: Sequence[int | str]) -> Plain | Failure:
    """Instance ids of devices that are there now: of a setup class `{GUID}` or a bus such as `PCI`."""
    wanted = str(arguments[0])
    flags = _FILTER_PRESENT | (_FILTER_CLASS if wanted.startswith("{") else _FILTER_ENUMERATOR)
    manager = _library("cfgmgr32")
    ask_size, ask = manager.CM_Get_Device_ID_List_SizeW, manager.CM_Get_Device_ID_ListW
    ask_size.argtypes = (ctypes.POINTER(_DWORD), ctypes.c_wchar_p, _DWORD)
    ask.argtypes = (ctypes.c_wchar_p, ctypes.c_wchar_p, _DWORD, _DWORD)
    for _ in range(3):  # a device may arrive between the two calls
        size = _DWORD(0)
        code = ask_size(ctypes.byref(size), wanted, flags)
        if code != _CR_SUCCESS or size.value > _MOST_BYTES:
            return Failure(AttemptResult.FAILED, f"CM_Get_Device_ID_List_Size: {code}")
        buffer = ctypes.create_unicode_buffer(size.value + 1)
        code = ask(wanted, buffer, size.value, flags)
        if code == _CR_SUCCESS:
            return [name for name in "".join(buffer[: size.value]).split("\0") if name]
    return Failure(AttemptResult.FAILED, f"CM_Get_Device_ID_List: {code}")


def device_problem(arguments: Sequence[int | str]) -> Plain | Failure:
    """The problem code that Device Manager shows for one device; 0 where it works."""
    manager = _library("cfgmgr32")
    node, status, problem = _DWORD(0), _DWORD(0), _DWORD(0)
    manager.CM_Locate_DevNodeW.argtypes = (ctypes.POINTER(_DWORD), ctypes.c_wchar_p, _DWORD)
    code = manager.CM_Locate_DevNodeW(ctypes.byref(node), str(arguments[0]), 0)
    if code == _CR_SUCCESS:
        code = manager.CM_Get_DevNode_Status(ctypes.byref(status), ctypes.byref(problem), node, 0)
    if code != _CR_SUCCESS:
        return Failure(AttemptResult.FAILED, f"CM_Get_DevNode_Status: {code}")
    return problem.value if status.value & _HAS_PROBLEM else 0


def storage(arguments: Sequence[int | str]) -> Plain | Failure:
    """Of a drive such as `C:`: kind of drive, and bus and seek penalty where the disk tells them."""
    drive = str(arguments[0])
    kernel32 = _library("kernel32")
    kernel32.GetDriveTypeW.argtypes = (ctypes.c_wchar_p,)
    facts: dict[str, Plain] = {"drive_type": int(kernel32.GetDriveTypeW(f"{drive}\\"))}
    if facts["drive_type"] != 3:  # DRIVE_FIXED; a dead network drive must not be opened
        return facts
    kernel32.CreateFileW.restype = _HANDLE
    kernel32.CreateFileW.argtypes = (ctypes.c_wchar_p, _DWORD, _DWORD, _HANDLE, _DWORD, _DWORD, _HANDLE)
    kernel32.CloseHandle.argtypes = (_HANDLE,)
    # No access is asked for: questions about the device need none, so no administrator either.
    volume = kernel32.CreateFileW(f"\\\\.\\{drive}", 0, _SHARE_READ_WRITE, None, _OPEN_EXISTING, 0, None)
    if volume in (None, ctypes.c_void_p(-1).value):
        return facts
    try:
        descriptor = _storage_property(kernel32, volume, _DEVICE_PROPERTY)
        penalty = _storage_property(kernel32, volume, _SEEK_PENALTY_PROPERTY)
    finally:
        kernel32.CloseHandle(volume)
    if len(descriptor) >= 32:
        facts["bus_type"] = int.from_bytes(descriptor[28:32], "little")  # STORAGE_DEVICE_DESCRIPTOR.BusType
    if len(penalty) >= 9:
        facts["seek_penalty"] = penalty[8] != 0  # DEVICE_SEEK_PENALTY_DESCRIPTOR.IncursSeekPenalty
    return facts


def _storage_property(kernel32: Any, volume: int, number: int) -> bytes:
    control = kernel32.DeviceIoControl
    control.argtypes = (
        _HANDLE,
        _DWORD,
        ctypes.c_void_p,
        _DWORD,
        ctypes.c_void_p,
        _DWORD,
        ctypes.POINTER(_DWORD),
        ctypes.c_void_p,
    )
    query = (_DWORD * 3)(number, 0, 0)
    buffer = ctypes.create_string_buffer(1024)
    size = _DWORD(0)
    done = control(volume, _QUERY_PROPERTY, query, 12, buffer, 1024, ctypes.byref(size), None)
    return buffer.raw[: size.value] if done else b""


def _dxgi(_: Sequence[int | str]) -> Plain | Failure:
    from probe.collectors.windows_dxgi import adapters

    return adapters()


CALLS: Final[Mapping[str, Callable[[Sequence[int | str]], Plain | Failure]]] = {
    "GetSystemFirmwareTable": firmware_table,
    "GetPhysicallyInstalledSystemMemory": installed_memory,
    "QueryInformationJobObject": job_information,
    "GetSystemPowerStatus": power_status,
    "GetLogicalProcessorInformationEx": processor_information,
    "GetEnabledXStateFeatures": extended_states,
    "present_devices": present_devices,
    "device_problem": device_problem,
    "storage": storage,
    "dxgi_adapters": _dxgi,
}
