"""A machine replayed from a folder, for tests: see tests/machines/README.md for the files.

Nothing is invented. What the folder does not hold is an error, unless its
author closed that part ("what is not written here does not exist").
"""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from probe.collectors.answers import (
    PYTHON,
    DiskFigures,
    Failure,
    MemoryFigures,
    Plain,
    PlatformFacts,
    ProgramOutput,
    RegistryValue,
    UnrecordedRequestError,
)
from probe.collectors.nvml_recording import ReplayedNvml
from probe.collectors.nvml_session import NvmlSession
from probe.machine.attempt import AttemptResult
from probe.machine.description import HostOrigin

FORMAT = 1
_ABSENT = Failure(AttemptResult.ABSENT, "ENOENT")


class RecordedHost:
    """One folder under tests/machines as a Host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._head: dict[str, Any] = _load(folder, "recording.json")
        if self._head.get("format") != FORMAT:
            raise ValueError(f"{folder}: recording format {self._head.get('format')} is not {FORMAT}")
        self._files: dict[str, Any] = _load(folder, "files.json")
        programs: dict[str, Any] = _load(folder, "programs.json")
        self._programs: list[dict[str, Any]] = programs.get("programs", [])
        self._found: dict[str, str | None] = programs.get("found", {})
        self._packages: dict[str, str | None] = programs.get("packages", {})
        self._registry: dict[str, Any] = _load(folder, "registry.json")
        self._calls: dict[str, Any] = _load(folder, "calls.json")
        self._nvml: dict[str, Any] = _load(folder, "nvml.json")
        self._closed: tuple[str, ...] = tuple(self._head.get("closed", ()))

    @property
    def about(self) -> Mapping[str, str]:
        """`source` (recorded or constructed) and `text`: where the recording comes from."""
        return {"source": self._head["source"], "text": self._head["about"]}

    @property
    def origin(self) -> HostOrigin:
        """Always a recording."""
        return HostOrigin.RECORDING

    def clock_s(self) -> float:
        """Stands still, so that a replay gives the same Machine every time."""
        return 0.0

    def platform(self) -> PlatformFacts:
        """As recorded."""
        return msgspec.convert(self._head["platform"], PlatformFacts)

    def variable(self, name: str) -> str | None:
        """As recorded; unset ones are recorded as null."""
        variables: dict[str, str | None] = self._head.get("variables", {})
        if name not in variables and not self._is_closed("variables"):
            raise self._unrecorded("variable", name)
        return variables.get(name)

    def read_text(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> str | Failure:
        """See Host.read_text."""
        entry = self._entry(path, "text")
        if isinstance(entry, list):
            entry = "\n".join(entry)
        text = a2b_base64(entry["base64"]).decode("utf-8", "replace") if _is_bytes(entry) else entry
        return _failure(text) or (str(text) if len(text) <= limit_bytes else _too_long(limit_bytes))

    def read_bytes(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> bytes | Failure:
        """See Host.read_bytes."""
        entry = self._entry(path, "text")
        if _is_bytes(entry):
            raw = a2b_base64(entry["base64"])
            return raw if len(raw) <= limit_bytes else _too_long(limit_bytes)
        text = self.read_text(path, limit_bytes)
        return text if isinstance(text, Failure) else text.encode("utf-8")

    def list_directory(self, path: str) -> tuple[str, ...] | Failure:
        """See Host.list_directory; in a closed part the names follow from the paths recorded beneath."""
        known = self._files.get(path)
        if isinstance(known, dict) and ("names" in known or "failure" in known):
            entry = known.get("names", known)
            return _failure(entry) or tuple(entry)
        if not self._is_closed(path):
            raise self._unrecorded("folder", path)
        return self._children(path) or _ABSENT

    def read_link(self, path: str) -> str | Failure:
        """See Host.read_link."""
        entry = self._entry(path, "link")
        return _failure(entry) or str(entry)

    def exists(self, path: str) -> bool:
        """See Host.exists; whatever was read or listed exists."""
        known = self._files.get(path)
        if isinstance(known, dict) and "exists" in known:
            return bool(known["exists"])
        if known is not None:
            failure = _failure(known)
            return failure is None or failure.result is not AttemptResult.ABSENT
        if self._children(path):
            return True
        if not self._is_closed(path):
            raise self._unrecorded("existence", path)
        return False

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        """See Host.run."""
        for program in self._programs:
            if program["run"] == list(arguments):
                return _failure(program) or ProgramOutput(
                    exit_code=program.get("exit_code", 0),
                    stdout=_joined(program.get("stdout", [])),
                    stderr=_joined(program.get("stderr", [])),
                )
        if not self._is_closed("programs"):
            raise self._unrecorded("program", " ".join(arguments))
        name = "python" if arguments[0] == PYTHON else arguments[0]
        return Failure(AttemptResult.ABSENT, f"{name} is not installed")

    def find_program(self, name: str) -> str | None:
        """See Host.find_program; `found` of programs.json holds them, null for those not there."""
        if name not in self._found and not self._is_closed("programs"):
            raise self._unrecorded("place of program", name)
        return self._found.get(name)

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        """See Host.packages; `packages` of programs.json holds them, null for those not there."""
        missing = [name for name in names if name not in self._packages]
        if missing and not self._is_closed("programs"):
            raise self._unrecorded("package", missing[0])
        return {name: version for name in names if (version := self._packages.get(name)) is not None}

    def may_use(self, path: str) -> bool:
        """See Host.may_use; what exists may be used unless `usable` says no."""
        known = self._files.get(path)
        if isinstance(known, dict) and "usable" in known:
            return bool(known["usable"])
        return self.exists(path)

    def affinity(self) -> int | Failure:
        """See Host.affinity."""
        entry = self._head_entry("affinity")
        return _failure(entry) or int(entry)

    def memory_figures(self) -> MemoryFigures | Failure:
        """See Host.memory_figures."""
        entry = self._head_entry("memory_figures")
        return _failure(entry) or msgspec.convert(entry, MemoryFigures)

    def core_counts(self) -> tuple[int | None, int | None] | Failure:
        """See Host.core_counts."""
        entry = self._head_entry("core_counts")
        return _failure(entry) or (entry[0], entry[1])

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        """See Host.disk_figures."""
        disks = self._head.get("disk_figures", {})
        if path not in disks:
            if self._is_closed(path):
                return _ABSENT
            raise self._unrecorded("disk", path)
        return _failure(disks[path]) or msgspec.convert(disks[path], DiskFigures)

    def registry_values(self, key: str) -> Mapping[str, RegistryValue] | Failure:
        """See Host.registry_values; bytes are written as {"base64": ...}, lists as lists."""
        entry = self._registry_entry(key)
        if isinstance(entry, Failure):
            return entry
        values = entry.get("values", {})
        failure = _failure(values)
        return failure or {name: _registry_value(value) for name, value in values.items()}

    def registry_keys(self, key: str) -> tuple[str, ...] | Failure:
        """See Host.registry_keys; without a list the names follow from the keys recorded beneath."""
        entry = self._registry_entry(key)
        if isinstance(entry, Failure):
            return entry
        if "keys" in entry:
            return _failure(entry["keys"]) or tuple(entry["keys"])
        return _names_beneath(key, self._registry, "\\")

    def sysctl(self, name: str) -> int | str | Failure:
        """See Host.sysctl."""
        values = self._calls.get("sysctl", {})
        if name not in values:
            if self._is_closed("sysctl"):
                return Failure(AttemptResult.ABSENT, "no such name")
            raise self._unrecorded("sysctl", name)
        value = values[name]
        return _failure(value) or (value if isinstance(value, int) else str(value))

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        """See Host.native."""
        asked = " ".join([question, *(str(argument) for argument in arguments)])
        answers = self._calls.get("native", {})
        if asked not in answers:
            if self._is_closed("native"):
                return Failure(AttemptResult.ABSENT, "no such call on this system")
            raise self._unrecorded("native call", asked)
        value: Plain = answers[asked]
        if isinstance(value, dict) and _is_bytes(value):
            return a2b_base64(str(value["base64"]))
        return _failure(value) or value

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        """See Host.loopback."""
        answers = self._calls.get("loopback", {})
        asked = f"{port}{path}"
        if asked not in answers:
            if self._is_closed("loopback"):
                return Failure(AttemptResult.ABSENT, "nothing listens there")
            raise self._unrecorded("loopback server", asked)
        value = answers[asked]
        return _failure(value) or _joined(value).encode("utf-8")

    def nvml(self) -> NvmlSession | Failure:
        """See Host.nvml."""
        if not self._nvml:
            if self._is_closed("nvml"):
                return Failure(AttemptResult.ABSENT, "libnvidia-ml.so.1 not found", "library_not_found")
            raise self._unrecorded("library", "nvml")
        return _failure(self._nvml) or ReplayedNvml(self._nvml, self._unrecorded)

    def machine_id(self) -> str | None:
        """As recorded."""
        value = self._head.get("machine_id")
        return None if value is None else str(value)

    def _is_closed(self, part: str) -> bool:
        """Whether the author closed this part: its name, a folder above a path, or everything by `*`."""
        return any(
            closed in ("*", part) or (closed.startswith("/") and part.startswith(closed + "/"))
            for closed in self._closed
        )

    def _children(self, path: str) -> tuple[str, ...]:
        return _names_beneath(path.rstrip("/"), self._files, "/")

    def _entry(self, path: str, wanted: str) -> Any:
        known = self._files.get(path)
        if known is None:
            if self._is_closed(path):
                return {"failure": ["absent", "ENOENT"]}
            raise self._unrecorded("file", path)
        if not isinstance(known, dict) or _is_bytes(known):
            known = {"text": known}  # a bare list is the lines of a text file
        if wanted in known:
            return known[wanted]
        if "failure" in known:
            return known
        if known.get("exists") is False:
            return {"failure": ["absent", "ENOENT"]}
        if self._is_closed(path):
            return {"failure": ["failed", "EINVAL"]}
        raise self._unrecorded(wanted, path)

    def _head_entry(self, name: str) -> Any:
        if name not in self._head:
            if self._is_closed(name):
                return {"failure": ["absent", "not known"]}
            raise self._unrecorded("figure", name)
        return self._head[name]

    def _registry_entry(self, key: str) -> dict[str, Any] | Failure:
        known = self._registry.get(key)
        if known is None:
            if _names_beneath(key, self._registry, "\\"):
                return {}
            if self._is_closed("registry"):
                return Failure(AttemptResult.ABSENT, "no such key")
            raise self._unrecorded("registry key", key)
        return _failure(known) or dict(known)

    def _unrecorded(self, kind: str, name: str) -> UnrecordedRequestError:
        return UnrecordedRequestError(f"{self.folder.name}: {kind} not in the recording: {name}")


def _load(folder: Path, name: str) -> Any:
    path = folder / name
    return msgspec.json.decode(path.read_bytes()) if path.is_file() else {}


def _failure(entry: Any) -> Failure | None:
    """`{"failure": [result, detail, code]}` as a Failure; detail and code may be left out."""
    if not isinstance(entry, dict) or "failure" not in entry:
        return None
    result, *rest = entry["failure"]
    return Failure(AttemptResult(result), *rest)


def _is_bytes(entry: Any) -> bool:
    return isinstance(entry, dict) and "base64" in entry


def _joined(lines: Any) -> str:
    return lines if isinstance(lines, str) else "\n".join(lines)


def _too_long(limit_bytes: int) -> Failure:
    return Failure(AttemptResult.FAILED, f"more than {limit_bytes} bytes")


def _registry_value(value: Any) -> RegistryValue:
    if _is_bytes(value):
        return a2b_base64(value["base64"])
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return value if isinstance(value, int) else str(value)


def _names_beneath(path: str, entries: Mapping[str, Any], separator: str) -> tuple[str, ...]:
    prefix = path + separator
    names = {entry[len(prefix) :].split(separator, 1)[0] for entry in entries if entry.startswith(prefix)}
    return tuple(sorted(name for name in names if name))
