"""A file's bytes as a member of the group: the head of a report where that is enough, else the whole.

Everything here is hostile: sizes, depth and types are bounded, nothing is executed or
used as a path. A report that is exactly as it was written is read up to its index of
models; any other is decoded whole.
"""

import os
import re
from datetime import datetime, timezone
from typing import Final

import msgspec

from probe.errors import FactValue
from probe.fleet.files import HEAD_BYTES, OpenFile, read_rest
from probe.fleet.member import (
    LETTER_OF_VERDICT,
    VERDICT_OF_LETTER,
    Gpu,
    Hardware,
    Largest,
    Lines,
    Member,
    Noted,
)
from probe.machine import Range
from probe.plain_text import plain_utf8
from probe.report.model_index import BASIS_DIGITS, IDS_START, IDS_START_INDENTED, NO_SPEED, hash_of

_MAJOR: Final = "1"
_MAX_LINES: Final = 20_000
_MAX_LINES_BYTES: Final = 12 * 1024 * 1024
_MAX_TEXT: Final = 200
_MAX_FINDINGS: Final = 100
_MAX_DEVICES: Final = 64
_MAX_SIZE_BYTES: Final = 2**60
_LETTERS: Final = "".join(VERDICT_OF_LETTER)
_URL: Final = re.compile(r"https?://[!-~]{1,200}")
_MORE_BYTES: Final = 4 * HEAD_BYTES  # for the first list of ids, and for machines with many devices
_COUNTED: Final = ("discrete", "unified")


class _Os(msgspec.Struct, frozen=True, gc=False):
    family: str | None = None
    name: str | None = None
    version: str | None = None
    wsl: int | None = None
    desktop: bool | None = None


class _Host(msgspec.Struct, frozen=True, gc=False):
    id: str | None = None
    name: str | None = None
    os: _Os = _Os()


class _Cpu(msgspec.Struct, frozen=True, gc=False):
    brand: str | None = None


class _Memory(msgspec.Struct, frozen=True, gc=False):
    total_bytes: int | None = None
    type: str | None = None
    channels: int | None = None


class _Device(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    kind: str = "discrete"
    state: str = "usable"
    memory_total_bytes: int | None = None
    memory_shared: bool = False
    driver_version: str | None = None


class _Nvidia(msgspec.Struct, frozen=True, gc=False):
    driver_version: str | None = None


class _Power(msgspec.Struct, frozen=True, gc=False):
    laptop: bool | None = None


class MachineFacts(msgspec.Struct, frozen=True, gc=False):
    """The few fields of a Machine that a group's page shows."""

    host: _Host = _Host()
    cpu: _Cpu = _Cpu()
    memory: _Memory = _Memory()
    accelerators: tuple[_Device, ...] = ()
    nvidia: _Nvidia | None = None
    power: _Power = _Power()
    schema_version: str = "1.0"
    kind: str = "machine"


class _Finding(msgspec.Struct, frozen=True, gc=False):
    id: str
    severity: str = "info"
    title: str = ""
    values: dict[str, str | int | float | bool | None] = {}


class _Model(msgspec.Struct, frozen=True, gc=False):
    id: str
    name: str = ""
    params_total: int | None = None


class _Speed(msgspec.Struct, frozen=True, gc=False):
    decode_tokens_per_s: Range | None = None


class _Largest(msgspec.Struct, frozen=True, gc=False):
    model: _Model
    quantization: str | None = None
    speed: _Speed = _Speed()


class _Code(msgspec.Struct, frozen=True, gc=False):
    values: dict[str, str | int | float | bool | None] = {}


class _Route(msgspec.Struct, frozen=True, gc=False):
    route: str
    example: str | None = None
    code: _Code | None = None


class _Summary(msgspec.Struct, frozen=True, gc=False):
    largest_comfortable: _Largest | None = None
    largest_usable: _Largest | None = None
    routes: tuple[_Route, ...] = ()


class _Tool(msgspec.Struct, frozen=True, gc=False):
    version: str | None = None


class _Index(msgspec.Struct, frozen=True, gc=False):
    ids_hash: str
    verdicts: str
    bases: tuple[str, ...]
    basis: str
    decode_tokens_per_s: str
    rest_bytes: int
    rest_bytes_indented: int


class _Line(msgspec.Struct, frozen=True, gc=False):
    id: str
    verdict: str
    decode_tokens_per_s: Range | None = None
    context: int = 8192


class _Head(msgspec.Struct, frozen=True, gc=False):
    kind: str
    machine: MachineFacts
    schema_version: str = "1.0"
    created_at: str | None = None
    tool: _Tool = _Tool()
    api_url: str | None = None
    findings: tuple[_Finding, ...] = ()
    summary: _Summary = _Summary()
    model_index: _Index | None = None


class _Whole(_Head, frozen=True, gc=False):
    models: msgspec.Raw = msgspec.Raw(b"[]")


class _Kind(msgspec.Struct, frozen=True, gc=False):
    kind: str = "machine"
    schema_version: str = "1.0"


_Models = tuple[tuple[str, ...], dict[str, int]]  # ids, and the place of each


class RefusedError(Exception):
    """A file that is no answer: message key and facts."""

    def __init__(self, key: str, **facts: FactValue) -> None:
        self.key = f"fleet.reason.{key}"
        self.facts = facts
        super().__init__(key)


class Decoder:
    """Decodes many files; lists of model ids that many reports share are kept once."""

    def __init__(self) -> None:
        self._head = msgspec.json.Decoder(_Head)
        self._whole = msgspec.json.Decoder(_Whole)
        self._kind = msgspec.json.Decoder(_Kind)
        self._lines = msgspec.json.Decoder(list[_Line])
        self._machine = msgspec.json.Decoder(MachineFacts)
        self._ids: dict[str, _Models] = {}
        self._hashed: dict[str, _Models] = {}
        self.whole = 0  # files that had to be decoded whole

    def member(self, opened: OpenFile, path: str) -> Member:
        """The member that an open file describes.

        Raises:
            RefusedError: it is no report or machine we can read.
            OSError: the share went away.
        """
        head = os.read(opened.descriptor, HEAD_BYTES)
        found = self._from_head(head, opened, path)
        if found is None and len(head) < opened.size_bytes:
            head += os.read(opened.descriptor, _MORE_BYTES)
            found = self._from_head(head, opened, path)
        if found is not None:
            return found
        self.whole += 1
        return self._from_whole(_utf8(read_rest(opened, head)), opened, path)

    def _from_head(self, head: bytes, opened: OpenFile, path: str) -> Member | None:
        """The member, if the file is a report whose length is what its index says."""
        indented = head[1:2] in (b"\n", b"\r")
        mark = IDS_START_INDENTED if indented else IDS_START
        at = head.find(mark)
        if at < 0:
            return None
        try:
            report = self._head.decode(head[:at] + b"}}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        index = report.model_index
        if index is None or report.kind != "report" or not report.schema_version.startswith(f"{_MAJOR}."):
            return None
        rest = opened.size_bytes - at - (index.rest_bytes_indented if indented else index.rest_bytes)
        if rest not in (0, 1):  # 1: the file ends in a newline
            return None
        models = self._hashed.get(index.ids_hash)
        if models is None:
            models = self._read_ids(head, at + len(mark) - 1, index.ids_hash)
        lines = _indexed(index, models) if models is not None else None
        return None if lines is None else _member(report, lines, opened, path)

    def _read_ids(self, head: bytes, start: int, ids_hash: str) -> _Models | None:
        """The list of models that stands in this file, kept under its hash if that is its hash."""
        end = head.find(b'"', start + 1)  # no id holds a quotation mark; one that does fails the hash
        if end < 0:
            return None
        try:
            ids = msgspec.json.decode(head[start : end + 1], type=str)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if hash_of(ids) != ids_hash:
            return None
        self._hashed[ids_hash] = self._shared(ids)
        return self._hashed[ids_hash]

    def _shared(self, ids: str) -> _Models:
        known = self._ids.get(ids)
        if known is None:
            names = tuple(ids.split("\n")) if ids else ()
            known = (names, {name: at for at, name in enumerate(names)})
            self._ids[ids] = known
        return known

    def _from_whole(self, raw: bytes, opened: OpenFile, path: str) -> Member:
        try:
            kind = self._kind.decode(raw)
        except msgspec.ValidationError as error:
            raise RefusedError("foreign", detail=_short(error)) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError("malformed", detail=_short(error)) from error
        if kind.schema_version.partition(".")[0] != _MAJOR:
            raise RefusedError("future", version=kind.schema_version[:20])
        try:
            if kind.kind == "report":
                report = self._whole.decode(raw)
                lines = self._all_lines(report.models)
                if not lines.ids and not _describes(report.machine):
                    raise RefusedError("foreign", detail="")
                return _member(report, lines, opened, path)
            if kind.kind == "machine":
                facts = self._machine.decode(raw)
                if not _describes(facts):
                    raise RefusedError("foreign", detail="")
                return _member(_Head(kind="machine", machine=facts), None, opened, path)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError("malformed", detail=_short(error)) from error
        raise RefusedError("other_kind", kind=kind.kind[:40])

    def _all_lines(self, raw: msgspec.Raw) -> Lines:
        if len(bytes(raw)) > _MAX_LINES_BYTES:
            raise RefusedError("too_many_lines", count=None)
        lines = self._lines.decode(raw)
        if len(lines) > _MAX_LINES:
            raise RefusedError("too_many_lines", count=len(lines))
        return self.columns(
            [
                (line.id[:_MAX_TEXT].replace("\n", " "), line.verdict, line.decode_tokens_per_s)
                for line in lines
            ]
        )

    def columns(self, lines: list[tuple[str, str, Range | None]]) -> Lines:
        """Id, verdict and speed of each model as columns."""
        ids, place = self._shared("\n".join(line[0] for line in lines))
        bases = tuple(dict.fromkeys(speed.basis for *_, speed in lines if speed is not None))
        bases = bases[: len(BASIS_DIGITS)]
        digit = dict(zip(bases, BASIS_DIGITS, strict=False))
        basis = "".join(digit.get(speed.basis, NO_SPEED) if speed else NO_SPEED for *_, speed in lines)
        figures = [
            f"{figure:.4g}"
            for (*_, speed), sign in zip(lines, basis, strict=True)
            if speed is not None and sign != NO_SPEED
            for figure in (speed.low, speed.value, speed.high)
        ]
        letters = "".join(LETTER_OF_VERDICT.get(verdict, "?") for _, verdict, _ in lines)
        return Lines(ids, place, letters, bases, basis, " ".join(figures))


def _indexed(index: _Index, models: _Models) -> Lines | None:
    """The lines, if there is one letter and one sign for each model."""
    ids, place = models
    count = len(ids)
    if count > _MAX_LINES or len(index.verdicts) != count or len(index.basis) != count:
        return None
    known = NO_SPEED + BASIS_DIGITS[: len(index.bases)]
    if index.verdicts.strip(_LETTERS) or index.basis.strip(known):
        return None
    return Lines(ids, place, index.verdicts, index.bases, index.basis, index.decode_tokens_per_s)


def _utf8(raw: bytes) -> bytes:
    try:
        return plain_utf8(raw)
    except UnicodeError as error:
        raise RefusedError("malformed", detail=_short(error)) from error


def _short(error: Exception) -> str:
    return str(error)[:_MAX_TEXT]


def _text(text: str | None) -> str | None:
    return text[:_MAX_TEXT] if text else None


def _size(size: int | None) -> int | None:
    if size is not None and not 0 <= size <= _MAX_SIZE_BYTES:
        raise RefusedError("impossible", value=str(size)[:40])
    return size


def _describes(machine: MachineFacts) -> bool:
    """Whether anything of a machine is said at all."""
    return bool(machine.memory.total_bytes or machine.cpu.brand or machine.accelerators)


def _hardware(machine: MachineFacts) -> Hardware:
    if len(machine.accelerators) > _MAX_DEVICES:
        raise RefusedError("impossible", value=f"{len(machine.accelerators)} accelerators")
    system = machine.host.os
    gpus = tuple(
        Gpu(
            device.name[:_MAX_TEXT],
            _size(device.memory_total_bytes),
            device.memory_shared,
            device.state == "usable",
        )
        for device in machine.accelerators
        if device.kind in _COUNTED
    )
    driver = machine.nvidia.driver_version if machine.nvidia is not None else None
    if driver is None:
        driver = next(
            (device.driver_version for device in machine.accelerators if device.driver_version), None
        )
    name = " ".join(part for part in (system.name or system.family, system.version) if part)
    return Hardware(
        _text(machine.cpu.brand),
        _size(machine.memory.total_bytes),
        _text(machine.memory.type),
        machine.memory.channels,
        gpus,
        _text(name),
        _text(driver),
    )


def _is_server(machine: MachineFacts, hardware: Hardware, api_url: str | None) -> bool:
    """Whether others may be sent there: it has an address, or is a Linux GPU machine without desktop."""
    if api_url is not None:
        return True
    system = machine.host.os
    headless = system.family == "linux" and system.desktop is False and not system.wsl
    return headless and not machine.power.laptop and any(gpu.usable for gpu in hardware.gpus)


def _time(created_at: str | None, modified_s: float) -> tuple[str | None, float]:
    """When a report was made; the file's own time where it does not say so."""
    if created_at:
        try:
            moment = datetime.fromisoformat(created_at[:40].replace("Z", "+00:00"))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            return created_at[:40], moment.timestamp()
        except (ValueError, OverflowError):
            pass
    return None, modified_s


def _largest(found: _Largest | None) -> Largest | None:
    if found is None:
        return None
    model = found.model
    return Largest(
        model.id[:_MAX_TEXT],
        (model.name or model.id)[:_MAX_TEXT],
        model.params_total,
        _text(found.quantization),
        found.speed.decode_tokens_per_s,
    )


def _member(report: _Head, lines: Lines | None, opened: OpenFile, path: str) -> Member:
    host = report.machine.host
    stem = path.rpartition("/")[2][:-5]
    host_id, name = _text(host.id), _text(host.name)
    hardware = _hardware(report.machine)
    api_url = report.api_url if report.api_url and _URL.fullmatch(report.api_url) else None
    created_at, time_s = _time(report.created_at, opened.modified_s)
    cloud = next((route for route in report.summary.routes if route.route == "cloud"), None)
    rented = cloud.code.values.get("gpu") if cloud is not None and cloud.code is not None else None
    return Member(
        key=("id", host_id) if host_id else ("name", name or stem),
        host_id=host_id,
        name=name or stem[:_MAX_TEXT],
        path=path,
        created_at=created_at,
        time_s=time_s,
        tool_version=_text(report.tool.version),
        api_url=api_url,
        is_server=_is_server(report.machine, hardware, api_url),
        hardware=hardware,
        findings=tuple(
            Noted(noted.id[:_MAX_TEXT], noted.severity[:20], noted.title[:_MAX_TEXT], noted.values)
            for noted in report.findings[:_MAX_FINDINGS]
        ),
        comfortable=_largest(report.summary.largest_comfortable),
        usable=_largest(report.summary.largest_usable),
        wish=_text(cloud.example) if cloud is not None else None,
        wish_cloud=rented[:_MAX_TEXT] if isinstance(rented, str) else None,
        lines=lines,
    )
