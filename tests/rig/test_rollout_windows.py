"""The double-click file under a real cmd.exe of Wine, with the real Windows Python of the rig."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe.fleet.scan import scan_folder
from tests.rig import windows_rig

WHY_MISSING = windows_rig.why_missing()
CMD = "C:\\windows\\system32\\cmd.exe"
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(WHY_MISSING is not None, reason=f"NO WINDOWS PYTHON HERE: {WHY_MISSING}"),
]


@pytest.fixture(scope="module")
def windows() -> Iterator[windows_rig.WindowsPython]:
    windows_rig.build_project()
    python = windows_rig.WindowsPython()
    yield python
    python.close()


def share_folder(tmp_path: Path) -> Path:
    """A shared folder as an office has them: Korean letters, a blank, and brackets, which cmd.exe minds."""
    folder = tmp_path / "공유 폴더 (AI)"
    folder.mkdir()
    shutil.copy(windows_rig.ROOT / "scripts/rollout/probe-share.cmd", folder)
    return folder


def test_a_double_click_writes_the_report_beside_the_file(
    windows: windows_rig.WindowsPython, tmp_path: Path
) -> None:
    folder = share_folder(tmp_path)
    script = windows_rig.windows_path(folder / "probe-share.cmd")
    done = windows.run(
        "/d",
        "/c",
        "call",
        script,
        "/quiet",
        program=CMD,
        WINEPATH=windows_rig.windows_path(windows_rig.PYTHON),
    )
    assert done.code == 0, done.talk
    fleet = scan_folder(folder)
    assert fleet.unreadable == ()
    (member,) = fleet.members
    assert member.lines is not None
    assert (member.hardware.system or "").startswith("Windows")
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == [
        ".cmd",
        ".html",
        ".json",
        ".md",
    ]


def test_without_python_the_member_is_told_where_to_get_it(
    windows: windows_rig.WindowsPython, tmp_path: Path
) -> None:
    folder = share_folder(tmp_path)
    script = windows_rig.windows_path(folder / "probe-share.cmd")
    done = windows.run("/d", "/c", "call", script, "/quiet", program=CMD)
    assert done.code != 0
    assert "Python 3.10" in done.page
    assert [path.name for path in folder.iterdir()] == ["probe-share.cmd"]
