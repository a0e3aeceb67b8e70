"""`probe fleet` as JSON: one document, written in pieces, to stdout and to files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT, run_probe
from tests.unit.fleet_folders import OFFICE_PC, SERVER, put, report_as


@pytest.fixture
def group(tmp_path: Path) -> Path:
    for number in range(3):
        put(tmp_path, f"reports/pc{number}.json", report_as(OFFICE_PC, name=f"박사-{number}"))
    put(tmp_path, "reports/box.json", report_as(SERVER, name="box"))
    return tmp_path


def timeless(text: bytes) -> dict[str, object]:
    return {**json.loads(text), "created_at": None}


def test_stdout_file_and_folder_get_the_same_document(group: Path) -> None:
    printed = run_probe("fleet", "reports", "--json", "--output", "a.json", folder=group)
    assert printed.code == 0
    assert printed.stdout == (group / "a.json").read_bytes()
    assert printed.text.startswith('{\n  "kind": "fleet",\n')
    assert printed.text.endswith("\n}\n")
    document = timeless(printed.stdout)
    assert "박사-0" in printed.text
    (group / "out").mkdir()
    assert run_probe("fleet", "reports", "--output", "out", folder=group).code == 0
    assert timeless((group / "out" / "fleet.json").read_bytes()) == document
    models = document["models"]
    assert isinstance(models, list)
    assert len(models) > 100
    assert all(sum(model["counts"].values()) == 4 for model in models)


def test_the_page_to_open_still_knows_which_model_runs_where(group: Path) -> None:
    run_probe("fleet", "reports", "--output", "a.html", folder=group)
    assert "Qwen3-1.7B" in (group / "a.html").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="a pipe of POSIX")
def test_a_reader_that_leaves_after_the_first_line_is_no_error(group: Path) -> None:
    process = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -m probe fleet reports --json | head -1'],
        cwd=group,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, b"{\n", b"")


@pytest.mark.skipif(os.name == "nt", reason="a limit on file sizes, of POSIX")
def test_an_older_file_stays_when_the_disk_is_full(group: Path) -> None:
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from probe.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    (group / "a.json").write_text("old", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-B", "-c", program, "fleet", "reports", "--output", "a.json"],
        cwd=group,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "HOME": str(group)},
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert process.returncode == 2
    assert b"a.json" in process.stderr
    assert (group / "a.json").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in group.iterdir() if path.is_file()) == ["a.json"]
