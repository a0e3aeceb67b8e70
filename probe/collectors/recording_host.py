"""Asking a machine and writing down every answer, redacted, as a folder that RecordedHost replays."""

import threading
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from probe.collectors.answers import (
    DiskFigures,
    Failure,
    MemoryFigures,
    Plain,
    PlatformFacts,
    ProgramOutput,
    RegistryValue,
)
from probe.collectors.nvml_recording import RecordingNvml
from probe.collectors.nvml_session import NvmlSession
from probe.collectors.recorded_host import FORMAT
from probe.machine.description import HostOrigin
from probe.machine.redact import HIDDEN, USER, Redactor, hide_smbios_serials

if TYPE_CHECKING:
    from probe.collectors.host import Host

_T = TypeVar("_T")
_MOUNT_TABLE = "/proc/self/mountinfo"
_HUNG = {"failure": ["timeout", "did not answer while the recording was made"]}


class RecordingHost:
    """Another Host with a notebook. `save()` writes what was asked so far."""

    def __init__(self, inner: "Host", folder: Path) -> None:
        self._inner = inner
        self.folder = folder
        self._lock = threading.Lock()
        self._head: dict[str, Any] = {}
        self._variables: dict[str, str | None] = {}
        self._disks: dict[str, Any] = {}
        self._files: dict[str, dict[str, Any]] = {}
        self._programs: dict[tuple[str, ...], Any] = {}
        self._found: dict[str, str | None] = {}
        self._packages: dict[str, str | None] = {}
        self._registry: dict[str, dict[str, Any]] = {}
        self._calls: dict[str, dict[str, Any]] = {"sysctl": {}, "native": {}, "loopback": {}}
        self._nvml: dict[str, Any] | None = None
        self._session: RecordingNvml | None = None

    def save(self, about: str = "Recorded by `probe scan --record`.", *, whole: bool = True) -> None:
        """Writes the folder; existing files of an earlier recording are replaced.

        Args:
            about: what the recording is of.
            whole: False where a source was abandoned: what it would have asked next counts as not there.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._lock:
            documents = self._documents(about)
            if not whole:
                documents["recording.json"]["closed"] = ["*"]
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, document in documents.items():
            text = msgspec.json.format(msgspec.json.encode(document), indent=1)
            (self.folder / name).write_bytes(text + b"\n")

    @property
    def origin(self) -> HostOrigin:
        """That of the machine asked."""
        return self._inner.origin

    def clock_s(self) -> float:
        """That of the machine asked."""
        return self._inner.clock_s()

    def platform(self) -> PlatformFacts:
        """See Host.platform."""
        facts = self._inner.platform()
        with self._lock:
            self._head["platform"] = facts
        return facts

    def variable(self, name: str) -> str | None:
        """See Host.variable; only the variables asked for are written."""
        value = self._inner.variable(name)
        with self._lock:
            self._variables[name] = value
        return value

    def read_text(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> str | Failure:
        """See Host.read_text."""
        self._note(self._files, path, "text", _HUNG)
        text = self._inner.read_text(path, limit_bytes)
        self._note(self._files, path, "text", _written(text))
        return text

    def read_bytes(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> bytes | Failure:
        """See Host.read_bytes."""
        self._note(self._files, path, "text", _HUNG)
        raw = self._inner.read_bytes(path, limit_bytes)
        shown = raw if isinstance(raw, Failure) else _without_serials(path, raw)
        self._note(self._files, path, "text", _written(shown))
        return raw

    def list_directory(self, path: str) -> tuple[str, ...] | Failure:
        """See Host.list_directory."""
        self._note(self._files, path, "names", _HUNG)
        names = self._inner.list_directory(path)
        self._note(self._files, path, "names", _written(names))
        return names

    def read_link(self, path: str) -> str | Failure:
        """See Host.read_link."""
        self._note(self._files, path, "link", _HUNG)
        target = self._inner.read_link(path)
        self._note(self._files, path, "link", _written(target) if isinstance(target, Failure) else target)
        return target

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        found = self._inner.exists(path)
        self._note(self._files, path, "exists", found)
        return found

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        """See Host.run."""
        key = tuple(arguments)
        with self._lock:
            self._programs[key] = _HUNG
        output = self._inner.run(arguments, timeout_s=timeout_s, limit_bytes=limit_bytes)
        if isinstance(output, Failure):
            entry = _written(output)
        else:
            entry = {
                "exit_code": output.exit_code,
                "stdout": output.stdout.split("\n"),
                "stderr": output.stderr.split("\n"),
            }
        with self._lock:
            self._programs[key] = entry
        return output

    def find_program(self, name: str) -> str | None:
        """See Host.find_program."""
        place = self._inner.find_program(name)
        with self._lock:
            self._found[name] = place
        return place

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        """See Host.packages; only those asked for are written."""
        versions = self._inner.packages(names)
        with self._lock:
            self._packages |= {name: versions.get(name) for name in names}
        return versions

    def may_use(self, path: str) -> bool:
        """See Host.may_use."""
        usable = self._inner.may_use(path)
        self._note(self._files, path, "usable", usable)
        return usable

    def affinity(self) -> int | Failure:
        """See Host.affinity."""
        return self._head_answer("affinity", self._inner.affinity())

    def memory_figures(self) -> MemoryFigures | Failure:
        """See Host.memory_figures."""
        return self._head_answer("memory_figures", self._inner.memory_figures())

    def core_counts(self) -> tuple[int | None, int | None] | Failure:
        """See Host.core_counts."""
        return self._head_answer("core_counts", self._inner.core_counts())

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        """See Host.disk_figures."""
        with self._lock:
            self._disks[path] = _HUNG
        figures = self._inner.disk_figures(path)
        with self._lock:
            self._disks[path] = _written(figures)
        return figures

    def registry_values(self, key: str) -> Mapping[str, RegistryValue] | Failure:
        """See Host.registry_values."""
        values = self._inner.registry_values(key)
        entry = (
            _written(values)
            if isinstance(values, Failure)
            else {
                name: _written(value) if isinstance(value, bytes) else value for name, value in values.items()
            }
        )
        self._note(self._registry, key, "values", entry)
        return values

    def registry_keys(self, key: str) -> tuple[str, ...] | Failure:
        """See Host.registry_keys."""
        names = self._inner.registry_keys(key)
        self._note(self._registry, key, "keys", _written(names))
        return names

    def sysctl(self, name: str) -> int | str | Failure:
        """See Host.sysctl."""
        value = self._inner.sysctl(name)
        self._note(self._calls, "sysctl", name, _written(value) if isinstance(value, Failure) else value)
        return value

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        """See Host.native; firmware tables are written without serial numbers."""
        asked = " ".join([question, *(str(argument) for argument in arguments)])
        self._note(self._calls, "native", asked, _HUNG)
        value = self._inner.native(question, *arguments)
        written: Any = value
        if isinstance(value, Failure):
            written = _written(value)
        elif isinstance(value, bytes):
            written = _written(_without_serials(asked, value))
        self._note(self._calls, "native", asked, written)
        return value

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        """See Host.loopback."""
        body = self._inner.loopback(port, path, timeout_s=timeout_s)
        entry = _written(body) if isinstance(body, Failure) else body.decode("utf-8", "replace").split("\n")
        self._note(self._calls, "loopback", f"{port}{path}", entry)
        return body

    def nvml(self) -> NvmlSession | Failure:
        """See Host.nvml."""
        with self._lock:
            self._nvml = _HUNG
        session = self._inner.nvml()
        if isinstance(session, Failure):
            with self._lock:
                self._nvml = _written(session)
            return session
        self._session = RecordingNvml(session)
        return self._session

    def machine_id(self) -> str | None:
        """See Host.machine_id; the id itself is not written."""
        return self._inner.machine_id()

    def _note(self, place: dict[str, dict[str, Any]], key: str, what: str, value: Any) -> None:
        with self._lock:
            place.setdefault(key, {})[what] = value

    def _head_answer(self, name: str, value: _T) -> _T:
        with self._lock:
            self._head[name] = _written(value)
        return value

    def _documents(self, about: str) -> dict[str, Any]:
        """File name -> contents, every text redacted."""
        facts: PlatformFacts | None = self._head.get("platform")
        names = (facts.user_name, facts.host_name) if facts else ()
        redactor = Redactor(names, facts.home if facts else None)
        head: dict[str, Any] = {
            "format": FORMAT,
            "source": "recorded",
            "about": about,
            **self._head,
            "variables": dict(sorted(self._variables.items())),
            "disk_figures": self._disks,
        }
        if facts:
            head["platform"] = msgspec.structs.replace(
                facts,
                host_name=HIDDEN if facts.host_name else None,
                user_name=USER if facts.user_name else None,
            )
        documents: dict[str, Any] = {
            "recording.json": head,
            "files.json": {
                path: _short(_needed(path, entry, self._disks)) for path, entry in sorted(self._files.items())
            },
        }
        if self._programs or self._found or self._packages:
            documents["programs.json"] = {
                "programs": [{"run": list(key), **entry} for key, entry in self._programs.items()],
                "found": dict(sorted(self._found.items())),
                "packages": dict(sorted(self._packages.items())),
            }
        if self._registry:
            documents["registry.json"] = dict(sorted(self._registry.items()))
        if any(self._calls.values()):
            documents["calls.json"] = self._calls
        nvml = self._session.taken if self._session else self._nvml
        if nvml is not None:
            documents["nvml.json"] = nvml
        # NVML first: its UUIDs must be known where masks name only their beginnings.
        return {
            name: _redacted(msgspec.to_builtins(documents[name]), redactor)
            for name in sorted(documents, key=lambda name: name != "nvml.json")
        }


def _written(value: Any) -> Any:
    """A Host's answer as RecordedHost reads it."""
    if isinstance(value, Failure):
        parts: list[str | None] = [value.result.value, value.detail]
        return {"failure": [*parts, value.code] if value.code else parts}
    if isinstance(value, bytes):
        return {"base64": b2a_base64(value, newline=False).decode()}
    if isinstance(value, str):
        return value.split("\n")
    return value


def _needed(path: str, entry: dict[str, Any], places: Iterable[str]) -> dict[str, Any]:
    """A mount table without mounts that hold none of the places asked: they may name what is private."""
    lines = entry.get("text")
    if path != _MOUNT_TABLE or not isinstance(lines, list):
        return entry
    asked = tuple(places)
    kept = []
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        place = fields[4].rstrip("/") if len(fields) > 4 else ""
        holds = any(asked_path == place or asked_path.startswith(place + "/") for asked_path in asked)
        if not line or holds or after.startswith("cgroup"):
            kept.append(line)
    return {**entry, "text": kept}


def _short(entry: dict[str, Any]) -> Any:
    """A file of which only the text was asked is its lines alone; a failure goes without its question."""
    if len(entry) == 1:
        (value,) = entry.values()
        if "text" in entry and isinstance(value, list):
            return value
        if isinstance(value, dict) and "failure" in value:
            return value
    return entry


def _without_serials(asked: str, value: bytes) -> bytes:
    """Firmware tables carry an 8-byte header of Windows before the SMBIOS structures."""
    if "RSMB" in asked:
        return value[:8] + hide_smbios_serials(value[8:])
    return hide_smbios_serials(value) if "dmi" in asked.lower() else value


def _redacted(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, dict):
        return {
            redactor.text(key): HIDDEN if _names_identity(key) else _redacted(item, redactor)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, redactor) for item in value]
    return value


def _names_identity(key: str) -> bool:
    """Getters whose answer is an identity by itself."""
    return key.startswith(("nvmlDeviceGetSerial", "nvmlDeviceGetBoardId"))
