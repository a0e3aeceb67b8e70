"""The random id by which a fleet knows a machine: made once, kept in the user's state folder."""

import contextlib
import os
import sys
import zlib
from pathlib import Path
from typing import Final

_HEX_DIGITS: Final = 16
_LIMIT: Final = 64


def machine_id() -> str | None:
    """The id of this machine for this user; None where the state folder cannot be written.

    Home folders of a cluster are often shared by many machines, so on Linux the
    file's name carries a digest of the system's own id (which is not disclosed).
    """
    folder = state_folder()
    return read_or_make(folder / _file_name()) if folder else None


def known_machine_id() -> str | None:
    """The id that an earlier run made; None where there is none. Nothing is written."""
    folder = state_folder()
    return _read(folder / _file_name()) if folder else None


def state_folder() -> Path | None:
    """Where this program keeps what must outlive a run, by each system's custom."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base) / "probe" if base else None
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    if not home.startswith("/"):
        return None
    if sys.platform == "darwin":
        return Path(home) / "Library" / "Application Support" / "probe"
    base = os.environ.get("XDG_STATE_HOME", "")
    return Path(base if base.startswith("/") else f"{home}/.local/state") / "probe"


def read_or_make(path: Path) -> str | None:
    """The id in this file, made if there is none; two runs at once agree on one."""
    known = _read(path)
    if known:
        return known
    fresh = os.urandom(_HEX_DIGITS // 2).hex()
    draft = path.with_name(f"{path.name}.{fresh}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(fresh + "\n", encoding="utf-8")
        if path.exists() and _read(path) is None:  # there, and no id: damaged
            draft.replace(path)
        else:
            _publish(draft, path)
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return _read(path)


def _publish(draft: Path, path: Path) -> None:
    """Gives the draft its name unless another run was first; file systems without hard links rename it."""
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:
        draft.replace(path)


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")[:_LIMIT].strip()
    except (OSError, UnicodeDecodeError):
        return None
    valid = len(text) == _HEX_DIGITS and all(letter in "0123456789abcdef" for letter in text)
    return text if valid else None


def _file_name() -> str:
    if not sys.platform.startswith("linux"):
        return "machine-id"
    try:
        system = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        system = ""
    system = system or os.uname().nodename
    return f"machine-id-{zlib.crc32(f'probe {system}'.encode()):08x}"
