"""The id by which a group's folder knows a machine: one per machine and user."""

import re
import sys
from pathlib import Path

import pytest

from probe.collectors.machine_identity import known_machine_id, machine_id, read_or_make, state_folder

ID = re.compile(r"[0-9a-f]{16}")

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the custom of Linux")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder of a Linux user."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "probe"


@on_linux
def test_id_is_made_once_and_found_again(state: Path) -> None:
    assert known_machine_id() is None
    made = machine_id()
    assert made is not None and ID.fullmatch(made)
    assert (machine_id(), known_machine_id()) == (made, made)
    assert len(list(state.iterdir())) == 1


@pytest.mark.parametrize("damaged", ["", "not an id", "0123456789ABCDEF", "\udcff"])
def test_damaged_file_gets_a_new_id_in_its_place(tmp_path: Path, damaged: str) -> None:
    """A full disk leaves an empty file; two copies of a home folder leave what an editor made of it."""
    path = tmp_path / "machine-id"
    path.write_bytes(damaged.encode("utf-8", "surrogateescape"))
    made = read_or_make(path)
    assert made is not None and ID.fullmatch(made)
    assert (read_or_make(path), [one.name for one in tmp_path.iterdir()]) == (made, ["machine-id"])


def test_state_folder_that_is_a_file_gives_no_id(tmp_path: Path) -> None:
    (tmp_path / "probe").write_text("", encoding="utf-8")
    assert read_or_make(tmp_path / "probe" / "machine-id") is None


@on_linux
def test_user_without_home_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user that no passwd names: expanduser leaves the tilde or a bare name."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    assert (state_folder(), machine_id(), known_machine_id()) == (None, None, None)


@on_linux
def test_relative_state_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG specification: a relative path is invalid and must be ignored."""
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "probe"
