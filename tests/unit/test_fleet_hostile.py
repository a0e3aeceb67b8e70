"""A shared folder full of bad files: the good ones are answered in full, nothing else happens."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probe.fleet.compute import complete_hardware_only
from probe.fleet.scan import scan_folder
from probe.fleet.summary import build_fleet
from probe.messages import LANGUAGES
from probe.render.fleet_csv import fleet_csv
from probe.render.fleet_html import fleet_html
from probe.render.fleet_page import fleet_page
from probe.render.markdown import render_markdown
from probe.render.terminal import render_terminal
from probe.report.fleet_documents import FleetDocument
from tests.unit.fleet_folders import NOW_S, OFFICE_PC, SERVER, edited, put, report_as

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good reports among the bad files."""
    top = tmp_path_factory.mktemp("group")
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


def _document(folder: Path, lang: str) -> FleetDocument:
    return build_fleet(
        scan_folder(folder),
        folder=folder,
        lang=lang,
        now_s=NOW_S,
        created_at="2026-11-21T10:00:00Z",
        with_models=True,
    )


@pytest.fixture(scope="module")
def document(folder: Path) -> FleetDocument:
    return _document(folder, "en")


def test_good_reports_are_answered_in_full(document: FleetDocument) -> None:
    good = {machine.host: machine for machine in document.machines if machine.host.startswith("good")}
    assert sorted(good) == ["good-pc", "good-server"]
    wish = good["good-pc"].wish
    assert wish is not None
    assert (wish.route, [offer.address for offer in wish.servers]) == (
        "shared_server",
        ["http://10.0.0.9:8000"],
    )
    runs = {model.id: [entry.host for entry in model.runs_on] for model in document.models}
    assert {"good-pc", "good-server"} <= set(runs["Qwen/Qwen3-1.7B"])


def test_every_bad_file_is_listed_with_its_reason(document: FleetDocument) -> None:
    listed = {bad.path: bad.code for bad in document.unreadable}
    assert {f"{name}.json" for name in REFUSED} <= set(listed)
    assert not {f"{name}.json" for name in HARMLESS} & set(listed)
    assert listed["future.json"] == "fleet.reason.future"
    assert listed["sparse-1gib.json"] == "fleet.reason.too_large"
    assert listed["foreign.json"] == "fleet.reason.foreign"
    assert all(bad.reason for bad in document.unreadable)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_links_and_pipes_are_neither_followed_nor_waited_for(document: FleetDocument) -> None:
    listed = {bad.path: bad.code for bad in document.unreadable}
    assert listed["pipe.json"] == "fleet.reason.no_file"
    assert [listed[name] for name in ("link.json", "self.json", "gone.json")] == ["fleet.reason.link"] * 3
    assert all(machine.host != "outside" for machine in document.machines)
    assert not any(machine.path.startswith("loop/") for machine in document.machines)


def test_no_csv_cell_begins_a_formula(document: FleetDocument) -> None:
    rows = list(csv.reader(io.StringIO(fleet_csv(document))))
    assert len(rows) == 1 + len(document.machines)
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_terminal_gets_no_control_characters(folder: Path, lang: str) -> None:
    page = fleet_page(_document(folder, lang), lang)
    text = render_terminal(page, width=100)
    assert {letter for letter in text if not letter.isprintable()} == {"\n"}
    assert MARKUP not in render_markdown(page)


def test_dashboard_holds_no_foreign_markup(folder: Path) -> None:
    text = fleet_html({lang: _document(folder, lang) for lang in LANGUAGES}, "ko")
    assert "<img" not in text
    assert "<script>alert" not in text
    assert "javascript:" not in text
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(data)
    assert len(json.loads(data)["machines"]) == len(_document(folder, "ko").machines)


def test_the_command_stays_small_and_writes_nothing(folder: Path) -> None:
    """A process of its own may take 400 MB; without bounds the files of this folder would take more."""
    before = sorted(path for path in folder.parent.rglob("*"))
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20));"
        "from probe.cli.main import main; sys.exit(main(['fleet', sys.argv[1], '--json']))"
    )
    if sys.platform == "win32":
        program = (
            "import sys; from probe.cli.main import main; sys.exit(main(['fleet', sys.argv[1], '--json']))"
        )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    hosts = [machine["host"] for machine in json.loads(done.stdout)["machines"]]
    assert {"good-pc", "good-server"} <= set(hosts)
    assert sorted(path for path in folder.parent.rglob("*")) == before


def test_impossible_machines_never_end_the_run(tmp_path: Path) -> None:
    """Hardware alone is computed: what its figures break must not cost the others their answer."""
    for number, text in enumerate(IMPOSSIBLE):
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    put(tmp_path, "good.json", report_as(OFFICE_PC, name="good-pc"))
    fleet = complete_hardware_only(scan_folder(tmp_path), tmp_path, "en")
    assert "good-pc" in [member.name for member in fleet.members]
    assert len(fleet.members) + len(fleet.unreadable) == len(IMPOSSIBLE) + 1
