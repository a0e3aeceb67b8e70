"""probe.pyz and the executable on the real Windows Python, with a Korean console (Wine, code page 949)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import release_rig, windows_executable_rig, windows_rig
from tests.rig.release_rig import artefact
from tests.rig.windows_rig import Outcome, WindowsPython, windows_path

MISSING = windows_rig.why_missing() or release_rig.why_missing()
NO_EXECUTABLE = windows_executable_rig.why_missing()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(MISSING is not None, reason=f"RIG MISSING: windows and release: {MISSING}"),
]


@pytest.fixture(scope="module")
def windows() -> Iterator[WindowsPython]:
    interpreter = WindowsPython()
    try:
        yield interpreter
    finally:
        interpreter.close()


def assert_works_in_korean(check: Outcome, version: Outcome, scan: Outcome) -> None:
    assert (version.code, version.page) == (0, "probe 0.1.0\n"), version.talk
    assert check.code == 0, check.talk
    assert "RTX 4090에서" in check.page  # decoded as code page 949: a letter outside it would have failed
    machine = json.loads(scan.stdout.decode("utf-8"))
    assert (machine["host"]["os"]["family"], machine["host"]["origin"]) == ("windows", "live")


CHECK = ("check", "qwen3-8b", "--as", "RTX 4090", "--lang", "ko")


def test_pyz_on_windows(windows: WindowsPython, tmp_path: Path) -> None:
    """From a folder with a Korean name; libraries go to LOCALAPPDATA of a user with a Korean name."""
    share = tmp_path / "공유 폴더"
    share.mkdir()
    copy = share / "probe.pyz"
    copy.write_bytes(artefact("probe.pyz").read_bytes())
    copy.chmod(0o444)
    pyz = windows_path(copy)
    outcomes = [windows.run(pyz, *arguments) for arguments in (CHECK, ("--version",), ("scan", "--json"))]
    assert_works_in_korean(*outcomes)
    local = windows_rig.PREFIX / "drive_c" / "users" / windows_rig.USER / "AppData" / "Local"
    assert list((local / "probe-pyz").iterdir())


@pytest.mark.skipif(NO_EXECUTABLE is not None, reason=f"RIG MISSING: windows-executable: {NO_EXECUTABLE}")
def test_executable_on_windows(windows: WindowsPython, tmp_path: Path) -> None:
    """Copied away from everything it was built from; the page it writes has a Korean name."""
    folder = tmp_path / "내 문서"
    folder.mkdir()
    copy = folder / "probe.exe"
    copy.write_bytes(windows_executable_rig.EXECUTABLE.read_bytes())
    program = windows_path(copy)
    outcomes = [
        windows.run(*arguments, program=program) for arguments in (CHECK, ("--version",), ("scan", "--json"))
    ]
    assert_works_in_korean(*outcomes)
    page = windows_path(folder / "보고서.html")
    written = windows.run("--as", "RTX 4090", "--output", page, program=program)
    assert written.code == 0, written.talk
    assert "<html" in (folder / "보고서.html").read_text(encoding="utf-8")
