"""A shared folder full of bad files: the good ones are answered in full, nothing else happens."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

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
from tests.unit.fleet_folders import NOW_S, OFFICE_PC, put, report_as
from tests.unit.fleet_hostile_files import HARMLESS, IMPOSSIBLE, MARKUP, REFUSED, write_hostile_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile_folder(tmp_path_factory.mktemp("group"))


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
        timeout=180,
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
