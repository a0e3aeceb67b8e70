"""A shared folder that somebody fills with bad files, for the tests of what reads it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.fleet_folders import OFFICE_PC, SERVER, edited, put, report_as

MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
SEQUENCE = "\x1b]0;owned\x07\x1b[31mred\u202edne\u0000"
FORMULA = '=HYPERLINK("http://evil.example","x")'


def _report(changes: dict[str, Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(edited(report_as(OFFICE_PC, name="victim"), changes))

    return write


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def _sparse(path: Path) -> None:
    """A string of 1 GiB that takes no disk."""
    with path.open("wb") as file:
        file.write(b'{"kind": "report", "x": "')
        file.truncate(1 << 30)


def _long_string(path: Path) -> None:
    path.write_bytes(b'{"kind": "report", "machine": {}, "x": "' + b"A" * (30 << 20) + b'"}')


def _many_lines(path: Path) -> None:
    line = b'{"id":"a","verdict":"no"}'
    path.write_bytes(b'{"kind":"report","machine":{},"models":[' + b",".join([line] * 900_000) + b"]}")


def _head_only(path: Path) -> None:
    text = edited(report_as(OFFICE_PC, name="head"), {})
    path.write_bytes(text[: text.index(b',"size_map":[')])


def _figures(path: Path) -> None:
    text = edited(report_as(OFFICE_PC, name="figures", host_id="f"), {})
    start = text.index(b'"decode_tokens_per_s":"') + len(b'"decode_tokens_per_s":"')
    end = text.index(b'"', start)
    path.write_bytes(text[:start] + b"nan inf x".ljust(end - start, b" ") + text[end:])


# Hardware alone, well-formed and impossible.
IMPOSSIBLE = (
    '{"memory": {"total_bytes": 8589934592, "channels": -1, "speed_mt_per_s": -3200, "type": "DDR4"}}',
    '{"memory": {"total_bytes": 8589934592, "channels": 0}, "cpu": {"brand": "x", "physical_cores": 0}}',
    '{"memory": {"total_bytes": 8589934592, "bandwidth_bytes_per_s": 0}}',
    '{"memory": {"total_bytes": 1}, "cpu": {"usable_cores": 999999999999, "brand": "Intel Core i5-8500"}}',
    '{"accelerators": [{"name": "RTX 4090", "memory_total_bytes": 1, "bandwidth_bytes_per_s": -1}]}',
    '{"accelerators": [{"name": "A", "memory_total_bytes": 25769803776, "bandwidth_bytes_per_s": 1e308}]}',
    '{"accelerators": [{"name": "A", "index": 0}, {"name": "B", "index": 0}]}',
    '{"cpu": {"brand": "Core i5-8500"}, "host": {"name": "=1+1"}}',
)

REFUSED: dict[str, Callable[[Path], None]] = {
    "empty": _bytes(b""),
    "binary": _bytes(bytes(range(256)) * 40),
    "utf16-broken": _bytes(b"\xff\xfe\x00\xd8\x00"),
    "foreign": _bytes(b'{"name": "left-pad", "version": "1.0.0"}'),
    "list": _bytes(b"[1, 2, 3]"),
    "null": _bytes(b"null"),
    "nan": _bytes(b'{"kind": "machine", "memory": {"total_bytes": NaN}}'),
    "infinity": _bytes(b'{"kind": "machine", "memory": {"total_bytes": 1e999}}'),
    "negative": _bytes(b'{"kind": "machine", "memory": {"total_bytes": -5}}'),
    "enormous": _bytes(b'{"kind": "machine", "memory": {"total_bytes": 9000000000000000000}}'),
    "deep": _bytes(b'{"kind": "report", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "deep-machine": _bytes(b'{"machine": ' * 50_000 + b"1" + b"}" * 50_000),
    "duplicate-kind": _bytes(b'{"kind": "report", "kind": "plan", "memory": {"total_bytes": 1}}'),
    "future": _bytes(b'{"kind": "report", "schema_version": "2.0", "machine": {}}'),
    "version-object": _bytes(b'{"kind": "report", "schema_version": {}, "machine": {}}'),
    "other-kind": _bytes(b'{"kind": "estimate", "schema_version": "1.0"}'),
    "wrong-types": _report({"machine/host": [1, 2]}),
    "devices-text": _report({"machine/accelerators": "many"}),
    "devices-many": _report({"machine/accelerators": [{"name": "x"}] * 5000}),
    "sparse-1gib": _sparse,
    "many-lines": _many_lines,
    "head-only": _head_only,
    "string-30mib": _long_string,
    "surrogate": _bytes(b'{"kind": "machine", "cpu": {"brand": "\\ud800"}}'),
}
HARMLESS: dict[str, Callable[[Path], None]] = {
    "markup": _report(
        {"machine/host/name": MARKUP, "machine/cpu/brand": MARKUP, "machine/host/os/name": MARKUP,
         "models/0/id": MARKUP, "summary/largest_comfortable/model/name": MARKUP,
         "api_url": "javascript:alert(3)"}
    ),
    "sequence": _report({"machine/host/name": SEQUENCE, "machine/cpu/brand": SEQUENCE}),
    "formula": _report({"machine/host/name": FORMULA, "machine/cpu/brand": "@SUM(A1)", "tool/version": "+1"}),
    "tab": _report({"machine/host/name": "\t=1+1"}),
    "path": _report({"machine/host/name": "../../../../etc/passwd", "machine/host/id": "..\\..\\boot"}),
    "long-name": _report({"machine/host/name": "N" * 1_000_000}),
    "finding": _report(
        {"findings": [{"id": "../../etc", "severity": "critical", "title": MARKUP, "values": {"a": MARKUP}},
                      {"id": "single_channel.title.x", "severity": "?", "title": "t", "values": {}}]}
    ),
    "date": _report({"created_at": "9999-99-99", "machine/host/name": "date"}),
    "figures": _figures,
}  # fmt: skip


def write_hostile_folder(top: Path) -> Path:
    """Two good reports among the bad files; the folder, beside which stands one more report."""

    inside = top / "share"
    inside.mkdir()
    put(inside, "good/pc.json", report_as(OFFICE_PC, name="good-pc", host_id="g1"))
    put(
        inside,
        "server.json",
        report_as(SERVER, name="good-server", host_id="g2", api_url="http://10.0.0.9:8000"),
    )
    for name, write in {**REFUSED, **HARMLESS}.items():
        write(inside / f"{name}.json")
    (inside / "folder.json").mkdir()
    (inside / "notes.txt").write_text("nothing", encoding="utf-8")
    put(top, "outside.json", report_as(OFFICE_PC, name="outside", host_id="o"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(inside / "pipe.json")
        (inside / "link.json").symlink_to(top / "outside.json")
        (inside / "loop").symlink_to(inside, target_is_directory=True)
        (inside / "self.json").symlink_to("self.json")
        (inside / "gone.json").symlink_to(top / "missing.json")
    return inside
