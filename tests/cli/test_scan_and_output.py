"""`probe scan` on whatever machine runs the tests, and where answers are written."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cli.program import ROOT, run_probe
from tests.fakes.permissions import bound_by_permissions

SPEC = ("scan", "--as", "RTX 4090; 64GB DDR5-5600 x2")


def test_scan_reads_this_machine(tmp_path: Path) -> None:
    outcome = run_probe("scan", "--json", folder=tmp_path)
    machine = json.loads(outcome.stdout)
    assert (outcome.code, machine["kind"], machine["host"]["origin"]) == (0, "machine", "live")
    assert machine["memory"]["total_bytes"] > 2**28
    assert machine["cpu"]["logical_cores"] == psutil.cpu_count()


def test_the_host_name_can_be_kept_out_or_replaced(tmp_path: Path) -> None:
    import platform

    def mentions(text: str) -> bool:
        known = json.loads(text)
        del known["host"]["os"]  # its name may be the computer's too
        return bool(
            re.search(
                rf"(?<![\w-]){re.escape(platform.node())}(?![\w-])", json.dumps(known, ensure_ascii=False)
            )
        )

    hidden = run_probe("scan", "--json", "--no-host-name", folder=tmp_path).text
    assert json.loads(hidden)["host"]["name"].startswith("pc-")
    assert not mentions(hidden)
    named = run_probe("scan", "--json", "--alias", "우리 서버", folder=tmp_path).text
    assert json.loads(named)["host"]["name"] == "우리 서버"
    assert not mentions(named)
    assert mentions(run_probe("scan", "--json", folder=tmp_path).text)


def test_a_file_gets_the_format_of_its_suffix_and_stdout_stays_empty(tmp_path: Path) -> None:
    for name, beginning in (("pc.md", b"# "), ("pc.json", b"{"), ("pc.txt", b"Hardware of")):
        outcome = run_probe(*SPEC, "--output", name, folder=tmp_path)
        assert (outcome.code, outcome.stdout) == (0, b"")
        assert outcome.talk == f"Written: {name}\n"
        assert (tmp_path / name).read_bytes().startswith(beginning)


def test_json_goes_to_stdout_beside_a_file(tmp_path: Path) -> None:
    outcome = run_probe(*SPEC, "--output", "pc.md", "--json", "-q", folder=tmp_path)
    assert json.loads(outcome.stdout)["kind"] == "machine"
    assert outcome.talk == ""
    assert (tmp_path / "pc.md").exists()


def test_a_folder_gets_one_file_for_each_reader(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    outcome = run_probe(*SPEC, "--alias", "../../Kim's PC: 3층", "--output", "shared", folder=tmp_path)
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == [
        "Kim-s-PC--3층-scan.html",
        "Kim-s-PC--3층-scan.json",
        "Kim-s-PC--3층-scan.md",
    ]


@pytest.mark.parametrize(
    ("arguments", "stem"),
    [
        (("check", "qwen3-8b", "--as", "RTX 4090", "--alias", "pc"), "pc-check-qwen3-8b"),
        (("train", "qwen3-0.6b", "--as", "RTX 4090", "--alias", "pc"), "pc-train-qwen3-0.6b"),
        (("doctor", "--as", "RTX 4090"), "RTX-4090-doctor"),
        (("preflight", "llama.cpp", "--as", "RTX 4090", "--alias", "pc"), "pc-preflight-llama.cpp"),
        (("plan", "qwen3-0.6b"), "plan-qwen3-0.6b"),
        (("diff", "pc.json", "pc.json"), "diff"),
        (("catalog", "list"), "catalog"),
        (("catalog", "show", "qwen3-8b"), "catalog-entry"),
        (("catalog", "validate"), "catalog-check"),
        (("bench", "--no-engine", "--no-save", "--alias", "pc"), "pc-bench"),
    ],
)
def test_every_command_writes_three_formats_beside_the_report(
    tmp_path: Path, arguments: tuple[str, ...], stem: str
) -> None:
    """A report `pc.json` of the same machine in that folder stays what it is."""
    report = b'{"kind": "machine", "cpu": {"brand": "Intel(R) Core(TM) i5-8500 CPU"}}'
    (tmp_path / "pc.json").write_bytes(report)
    outcome = run_probe(*arguments, "--lang", "ko", "--output", ".", folder=tmp_path)
    assert outcome.code in (0, 1)
    written = sorted(path.name for path in tmp_path.glob("*.*") if path.suffix and path.name[0] != ".")
    assert written == sorted([f"{stem}.html", f"{stem}.json", f"{stem}.md", "pc.json"])
    assert (tmp_path / "pc.json").read_bytes() == report
    page = (tmp_path / f"{stem}.html").read_text(encoding="utf-8")
    assert '<html lang="ko"' in page
    assert 'lang="en"' in page


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "pc.json"
    target.write_text("old" * 100_000, encoding="utf-8")
    assert run_probe(*SPEC, "--output", "pc.json", folder=tmp_path).code == 0
    assert json.loads(target.read_bytes())["kind"] == "machine"
    assert [path.name for path in tmp_path.iterdir() if path.name != ".state"] == ["pc.json"]


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_a_report_is_readable_for_the_group_it_is_written_for(tmp_path: Path) -> None:
    run_probe(*SPEC, "--output", "pc.json", folder=tmp_path)
    assert stat.S_IMODE((tmp_path / "pc.json").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@pytest.mark.skipif(bound_by_permissions() is None, reason="permissions bind nobody here")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    outcome = run_probe(
        *SPEC, "--output", "locked/pc.json", folder=tmp_path, before=bound_by_permissions() or ()
    )
    assert outcome.code == 2
    assert list(locked.iterdir()) == []


def test_page_on_a_narrow_terminal(tmp_path: Path) -> None:
    page = run_probe(*SPEC, folder=tmp_path, COLUMNS="60").text
    assert max(len(line) for line in page.splitlines()) <= 60


def test_markdown_for_a_pipe_is_utf8_whatever_the_console(tmp_path: Path) -> None:
    outcome = run_probe(*SPEC, "--lang", "ko", "--format", "markdown", folder=tmp_path, encoding="cp949")
    assert "메모리" in outcome.stdout.decode("utf-8")


def test_a_recording_can_be_scanned_again(tmp_path: Path) -> None:
    outcome = run_probe("scan", "--record", "recording", "--json", folder=tmp_path)
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["kind"] == "machine"
    assert any((tmp_path / "recording").iterdir())


def test_scan_has_no_csv_and_says_so(tmp_path: Path) -> None:
    outcome = run_probe(*SPEC, "--format", "csv", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.startswith("This command has no CSV form.")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    import subprocess
    import sys

    from tests.cli.program import ROOT

    command = f'"{sys.executable}" -m probe catalog list | head -1'
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("form", [(), ("--json",), ("--format", "html")])
def test_a_full_disk_is_no_fault_of_ours(tmp_path: Path, form: tuple[str, ...]) -> None:
    """`probe --json > report.json` on a full disk: said, and the exit code tells the script."""
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "probe", *SPEC, *form],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "LANG": "C"},
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=240,
            check=False,
        )
    assert process.returncode == 2
    assert b"No space left on device" in process.stderr
    assert b"our fault" not in process.stderr
