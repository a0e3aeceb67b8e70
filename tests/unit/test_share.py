"""The shared folder: whole files only, every machine its own, whatever happens meanwhile."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from probe.errors import InputError
from probe.report import write
from probe.report.share import MOST_KEPT, Owner, file_stem, share_files
from tests.fakes.permissions import bound_by_permissions

ROOT: Final = Path(__file__).resolve().parents[2]
TIME: Final = "2026-11-20T09:00:00Z"
KIM: Final = Owner(id="1" * 32, name="DESKTOP")
LEE: Final = Owner(id="2" * 32, name="DESKTOP")


def report(owner: Owner, body: str = "") -> dict[str, bytes]:
    host = {"id": owner.id, "name": owner.name}
    document = {"kind": "report", "machine": {"host": host}, "body": body}
    return {".json": json.dumps(document).encode(), ".md": b"# page", ".html": b"<!doctype html>"}


def share(folder: Path, owner: Owner, body: str = "", created_at: str = TIME) -> list[str]:
    written, _ = share_files(folder, owner, created_at, report(owner, body))
    return [path.name for path in written]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_report_lies_there_in_three_forms_and_in_the_history(tmp_path: Path) -> None:
    share(tmp_path, KIM)
    assert names(tmp_path) == [
        "DESKTOP.html",
        "DESKTOP.json",
        "DESKTOP.md",
        "history/DESKTOP/20261120T090000Z.json".replace("/", os.sep),
    ]


def test_a_later_run_replaces_the_page_and_keeps_the_history(tmp_path: Path) -> None:
    share(tmp_path, KIM, "old")
    share(tmp_path, KIM, "new", "2026-11-21T09:00:00Z")
    assert json.loads((tmp_path / "DESKTOP.json").read_bytes())["body"] == "new"
    kept = sorted((tmp_path / "history/DESKTOP").iterdir())
    assert [json.loads(path.read_bytes())["body"] for path in kept] == ["old", "new"]


def test_two_runs_of_one_second_and_a_clock_set_back_are_all_kept(tmp_path: Path) -> None:
    for body, created_at in (("a", TIME), ("b", TIME), ("c", "1999-01-01T00:00:00Z")):
        share(tmp_path, KIM, body, created_at)
    kept = {json.loads(path.read_bytes())["body"] for path in (tmp_path / "history/DESKTOP").iterdir()}
    assert kept == {"a", "b", "c"}
    assert json.loads((tmp_path / "DESKTOP.json").read_bytes())["body"] == "c"


def test_the_history_keeps_the_newest_and_whatever_is_not_ours(tmp_path: Path) -> None:
    share(tmp_path, KIM)
    history = tmp_path / "history/DESKTOP"
    first = next(history.iterdir())
    for number in range(1, MOST_KEPT + 2):
        (history / f"20261120T09{number // 60:02}{number % 60:02}Z.json").write_bytes(first.read_bytes())
    foreign = history / "20200101T000000Z.json"
    foreign.write_bytes(report(LEE)[".json"])
    notes = history / "why-this-pc-is-slow.json"
    notes.write_bytes(first.read_bytes())
    share(tmp_path, KIM, "newest, by a clock set back", "1999-01-01T00:00:00Z")
    kept = {path.name for path in history.iterdir()}
    assert {foreign.name, notes.name, "19990101T000000Z.json"} < kept
    assert first.name not in kept
    # Of the newest 100 names all; and the one just written, and the two that are not ours.
    assert len(kept) == MOST_KEPT + 3
    assert f"20261120T09{(MOST_KEPT + 1) // 60:02}{(MOST_KEPT + 1) % 60:02}Z.json" in kept


def test_two_machines_of_one_name_never_touch_each_other(tmp_path: Path) -> None:
    assert share(tmp_path, KIM)[0] == "DESKTOP.json"
    assert share(tmp_path, LEE)[0] == "DESKTOP-222222.json"
    assert share(tmp_path, KIM)[0] == "DESKTOP.json"
    assert share(tmp_path, LEE)[0] == "DESKTOP-222222.json"
    assert json.loads((tmp_path / "DESKTOP.json").read_bytes())["machine"]["host"]["id"] == KIM.id


def test_a_machine_goes_on_under_its_name_when_the_other_one_has_left(tmp_path: Path) -> None:
    share(tmp_path, KIM)
    share(tmp_path, LEE)
    (tmp_path / "DESKTOP.json").unlink()
    assert share(tmp_path, LEE)[0] == "DESKTOP-222222.json"


def test_a_file_that_is_no_report_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "DESKTOP.json").write_text("my notes", encoding="utf-8")
    (tmp_path / "DESKTOP-111111.json").mkdir()
    assert share(tmp_path, KIM)[0] == "DESKTOP-111111111111.json"
    assert (tmp_path / "DESKTOP.json").read_text(encoding="utf-8") == "my notes"


def test_machines_without_an_id_are_told_apart_by_name(tmp_path: Path) -> None:
    first, second = Owner(name="A/B"), Owner(name="A\\B")
    assert share(tmp_path, first)[0] == "A-B.json"
    assert share(tmp_path, second)[0].startswith("A-B-")
    assert share(tmp_path, first)[0] == "A-B.json"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("김철수 PC", "김철수-PC"),
        ("\u1100\u1161나", "가나"),  # as macOS writes Korean
        ("CON", "pc-CON"),
        ("con.lab", "pc-con.lab"),
        ("LPT9", "pc-LPT9"),
        ("CONSOLE", "CONSOLE"),
        ("PC. . ", "PC"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "probe-report"),
        ("", "probe-report"),
        (None, "probe-report"),
        ("a\u202eb\x00c", "a-b-c"),
        ("=cmd|' /C calc'!A0", "cmd----C-calc--A0"),
    ],
)
def test_every_name_becomes_a_file_name_that_every_system_takes(name: str | None, stem: str) -> None:
    assert file_stem(name) == stem


@pytest.mark.parametrize("name", ["가" * 300, "x" * 255, "😀" * 300, "가나다" * 80 + "."])
def test_long_names_are_cut_between_letters(name: str, tmp_path: Path) -> None:
    stem = file_stem(name)
    assert len(f"{stem}-{'0' * 32}.html".encode()) <= 143
    owner = Owner(id="a" * 32, name=name)
    assert share(tmp_path, owner)[0] == f"{stem}.json"


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        share(tmp_path / "gone", KIM)
    assert (refused.value.key, refused.value.exit_code) == ("share.no_folder", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_leaves_the_older_report_whole(tmp_path: Path) -> None:
    """A file size limit of the kernel stands in for the full disk: the write itself fails half-way."""
    share(tmp_path, KIM, "old")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    script = f"""
import resource, signal, sys
sys.path[:0] = {[str(ROOT)]!r}
from pathlib import Path
from probe.errors import InputError
from tests.unit.test_share import KIM, TIME, share
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    share(Path({str(tmp_path)!r}), KIM, "x" * 200_000)
except InputError as error:
    print(error.key)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=True
    )
    assert done.stdout.strip() == "share.full"
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that refuses even root")
def test_a_folder_that_takes_nothing_is_one_sentence() -> None:
    with pytest.raises(InputError) as refused:
        share(Path("/proc/sys"), KIM)
    assert refused.value.key in ("share.read_only", "share.gone")


@pytest.mark.skipif(bound_by_permissions() is None, reason="permissions bind nobody here")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path[:0] = {[str(ROOT)]!r}
from pathlib import Path
from probe.errors import InputError
from tests.unit.test_share import KIM, share
try:
    share(Path({str(tmp_path)!r}), KIM)
except InputError as error:
    print(error.key)
"""
    tmp_path.chmod(0o500)
    command = [*(bound_by_permissions() or ()), sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "share.read_only"


def test_drafts_of_killed_runs_are_swept_and_young_ones_left(tmp_path: Path) -> None:
    old, young = tmp_path / ".probe-0123.tmp", tmp_path / ".probe-4567.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    two_hours_ago = young.stat().st_mtime - 7200  # by the clock of the disk, as another computer's may be
    os.utime(old, (two_hours_ago, two_hours_ago))
    share(tmp_path, KIM)
    assert not old.exists()
    assert young.exists()


def test_nothing_is_moved_when_one_of_several_files_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match=r"b\.md") as refused:
        write.write_together([(tmp_path / "a.md", b"new"), (tmp_path / "missing" / "b.md", b"new")])
    assert refused.value.errno == errno.ENOENT
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.md"]


# Machines 0 to 39 share 20 names; writers 40 to 49 are second runs of machines 0 to 9.
_WRITER: Final = """
import json, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from probe.report.share import Owner, share_files
number, folder, turns = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
owner = Owner(id=f"{{number % 40:032x}}"[::-1], name=f"PC{{number % 20}}")
host = {{"id": owner.id, "name": owner.name}}
print("ready", flush=True)
sys.stdin.readline()
for _ in range(turns):
    document = {{"kind": "report", "machine": {{"host": host}}, "body": "x" * 100_000}}
    files = {{".json": json.dumps(document).encode(), ".md": b"# page", ".html": b"<!doctype html>"}}
    share_files(folder, owner, "2026-11-20T09:00:00Z", files)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_fifty_writers_with_kills_leave_whole_files_and_lose_no_machine(tmp_path: Path) -> None:
    """Forty machines, twenty names, ten machines twice; every fifth writer is killed at its own moment."""
    import random

    command = [sys.executable, "-c", _WRITER.format(root=str(ROOT))]
    # A process killed while it writes what coverage counted would spoil that file.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")
    }
    writers = [
        subprocess.Popen(
            [*command, str(number), str(tmp_path), "1000000" if number % 5 == 0 else "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for number in range(50)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    moments = random.Random(7)  # noqa: S311 - no secret
    for number in range(0, 50, 5):
        time.sleep(moments.uniform(0.0, 0.06))
        writers[number].kill()
    for number, writer in enumerate(writers):
        writer.communicate(timeout=300)
        assert writer.returncode == (-9 if number % 5 == 0 else 0)
    owners = {}
    for path in tmp_path.glob("*.json"):
        host = json.loads(path.read_bytes())["machine"]["host"]
        owners[host["id"]] = path.stem
        assert path.stem.split("-")[0] == host["name"]
    survivors = {f"{number % 40:032x}"[::-1] for number in range(50) if number % 5}
    assert survivors <= set(owners)
    assert len(set(owners.values())) == len(owners)
    for path in (tmp_path / "history").rglob("*.json"):
        assert json.loads(path.read_bytes())["kind"] == "report"
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} <= {".json", ".md", ".html", ".tmp"}
    # What killed runs left is gone with the first run an hour later.
    for path in tmp_path.glob(".probe-*.tmp"):
        os.utime(path, (0, 0))
    share(tmp_path, KIM)
    assert list(tmp_path.glob(".probe-*.tmp")) == []
