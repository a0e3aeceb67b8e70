"""Reads what we or a person wrote: a Report, a Machine, or a few hand-written fields.

Everything read is hostile until decoded: size, depth and types are bounded, and
nothing in it is executed or used as a path.
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from probe.errors import InputError
from probe.long_paths import openable
from probe.machine import Machine
from probe.machine.accelerator import AcceleratorKind, AcceleratorState
from probe.plain_text import plain_utf8
from probe.report.documents import SCHEMA_VERSION, ReportDocument
from probe.report.possible import impossible

MAX_REPORT_BYTES: Final = 32 * 1024 * 1024
_MAJOR: Final = "1"
_SCANNED: Final = frozenset({"attempts", "provenance"})  # stand in every scan, and in nothing written by hand
_VENDOR_WORDS: Final = (
    ("nvidia", ("nvidia", "geforce", "rtx", "gtx", "tesla", "quadro")),
    ("amd", ("amd", "radeon", "instinct")),
    ("intel", ("intel", "arc ")),
    ("apple", ("apple",)),
)


def _never_waiting(path: Path) -> int:
    """Open so that reading cannot wait: /proc/kmsg calls itself a regular file of no length and waits."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        InputError: it is missing, no regular file, unreadable or above 32 MiB.
    """
    try:
        place = openable(path)
        if not place.is_file():
            raise InputError("reading.file_missing", path=str(path))
        size = place.stat().st_size
        if size > MAX_REPORT_BYTES:
            raise InputError("reading.file_too_large", path=str(path), size_bytes=size)
        with os.fdopen(_never_waiting(place), "rb") as file:
            return file.read(MAX_REPORT_BYTES + 1) or b""
    except OSError as error:
        raise InputError("reading.file_unreadable", path=str(path), detail=error.strerror or "") from error


def decode_json(raw: bytes, name: str) -> Any:
    """The JSON value in `raw`, in any encoding that Windows editors and shells write.

    Raises:
        InputError: it is no JSON or nested too deeply.
    """
    try:
        return msgspec.json.decode(plain_utf8(raw))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError("reading.json_malformed", path=name, detail=str(error)) from error


def _check_version(document: dict[str, Any], name: str) -> None:
    version = document.get("schema_version", "1.0")
    if isinstance(version, (int, float)) and not isinstance(version, bool):
        version = str(version)  # written by hand without quotes
    if not isinstance(version, str) or version.partition(".")[0] != _MAJOR:
        raise InputError("reading.schema_from_the_future", path=name, version=str(version)[:20])


def _malformed(key: str, document: dict[str, Any], name: str, error: Exception) -> InputError:
    """The refusal; of a later 1.x, whose lists may hold words that we do not know, what to do instead."""
    version = str(document.get("schema_version", SCHEMA_VERSION))
    ours, theirs = (text.partition(".")[2] for text in (SCHEMA_VERSION, version))
    if theirs.isdigit() and int(theirs[:9]) > int(ours):
        return InputError("reading.schema_newer", path=name, version=version[:20], detail=str(error)[:300])
    return InputError(key, path=name, detail=str(error)[:300])


def _vendor_of(name: str) -> str:
    lowered = name.lower()
    for vendor, words in _VENDOR_WORDS:
        if any(word in lowered for word in words):
            return vendor
    return "other"


def _as_range(value: Any) -> Any:
    """A plain number written by hand becomes a range of one point."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"low": value, "value": value, "high": value, "basis": "user"}
    return value


def _complete(machine: dict[str, Any]) -> dict[str, Any]:
    """Fill what a person may leave out: kind, index, vendor and state of devices."""
    completed = {"kind": "machine", **machine}
    if "schema_version" in completed:
        completed["schema_version"] = str(completed["schema_version"])
    devices = completed.get("accelerators")
    if isinstance(devices, list):
        filled: list[Any] = []
        for index, device in enumerate(devices):
            if not isinstance(device, dict):
                filled.append(device)
                continue
            entry = {
                "index": index,
                "kind": AcceleratorKind.DISCRETE.value,
                "state": AcceleratorState.USABLE.value,
                "vendor": _vendor_of(str(device.get("name", ""))),
                "name": "",
                **device,
            }
            entry["bandwidth_bytes_per_s"] = _as_range(entry.get("bandwidth_bytes_per_s"))
            filled.append(entry)
        completed["accelerators"] = filled
    memory = completed.get("memory")
    if isinstance(memory, dict) and "bandwidth_bytes_per_s" in memory:
        completed["memory"] = {**memory, "bandwidth_bytes_per_s": _as_range(memory["bandwidth_bytes_per_s"])}
    return completed


def machine_from_json(document: Any, name: str) -> Machine:
    """The Machine in a decoded Report, Machine or hand-written object.

    Raises:
        InputError: it is none of these, from a newer schema, or impossible (negative sizes).
    """
    if not isinstance(document, dict):
        raise InputError("reading.machine_not_an_object", path=name)
    _check_version(document, name)
    kind = document.get("kind", "machine")
    if kind == "report":
        document = document.get("machine")
        if not isinstance(document, dict):
            raise InputError("reading.machine_not_an_object", path=name)
    elif kind != "machine":
        raise InputError("reading.machine_wrong_kind", path=name, kind=str(kind)[:40])
    found = impossible(document)
    if found is not None:
        raise InputError("reading.machine_impossible", path=name, where=found[0], value=found[1])
    try:
        machine = msgspec.convert(_complete(document), Machine)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _malformed("reading.machine_malformed", document, name, error) from error
    _check_possible(machine, name)
    if machine.accelerators and not _SCANNED & document.keys():
        from probe.report.hand_written import with_named_gpus

        return with_named_gpus(machine)
    return machine


def _check_possible(machine: Machine, name: str) -> None:
    sizes = [
        ("memory.total_bytes", machine.memory.total_bytes),
        ("memory.available_bytes", machine.memory.available_bytes),
        ("memory.limit_bytes", machine.memory.limit_bytes),
        *(
            (f"accelerators[{device.index}].memory_total_bytes", device.memory_total_bytes)
            for device in machine.accelerators
        ),
        *(
            (f"accelerators[{device.index}].memory_free_bytes", device.memory_free_bytes)
            for device in machine.accelerators
        ),
    ]
    for where, size in sizes:
        if size is not None and not 0 <= size < 2**60:
            raise InputError("reading.machine_impossible", path=name, where=where, value=str(size)[:40])
    indexes = [device.index for device in machine.accelerators]
    if len(set(indexes)) != len(indexes):
        raise InputError("reading.machine_impossible", path=name, where="accelerators[].index", value="twice")


def read_machine(path: Path) -> Machine:
    """The Machine in a file: a Report, a Machine, or hand-written JSON with only the fields that matter.

    Raises:
        InputError: the file is missing, unreadable, too large, no JSON or no machine.
    """
    return machine_from_json(decode_json(read_bytes(path), str(path)), str(path))


def read_report(path: Path) -> ReportDocument:
    """A Report written by this or an earlier version.

    Raises:
        InputError: as read_machine, or the file holds no report.
    """
    document = decode_json(read_bytes(path), str(path))
    if not isinstance(document, dict) or document.get("kind") != "report":
        raise InputError("reading.not_a_report", path=str(path))
    _check_version(document, str(path))
    try:
        return msgspec.convert(document, ReportDocument)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _malformed("reading.report_malformed", document, str(path), error) from error
