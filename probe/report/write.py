"""Files that are whole or not there: written under a draft's name, synced, then moved into place.

Only what SMB, NFS and every local file system promise is used: creating a new
file exclusively, and renaming within one folder. No locks.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from probe.long_paths import openable

DRAFT_START: Final = ".probe-"
DRAFT_END: Final = ".tmp"
# A run takes seconds: a draft of an hour ago was left by one that was killed.
_ABANDONED_AFTER_S: Final = 3600.0
# Windows refuses to replace a file that another program has open; virus scanners let go within a second.
_WAITS_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


def draft(folder: Path, data: bytes | Iterable[bytes]) -> Path:
    """A new file in `folder` that holds `data`, on the disk and under a name nobody reads.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    path = openable(folder) / f"{DRAFT_START}{os.urandom(8).hex()}{DRAFT_END}"
    try:
        with path.open("xb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        discard(path)
        raise
    return path


def discard(path: Path) -> None:
    """Take a draft away, if it is still there and the folder still answers."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def publish(source: Path, target: Path) -> None:
    """Give a draft its name; what had that name before is replaced at once.

    Raises:
        OSError: the folder vanished, or a program keeps the old file open.
    """
    waits = _WAITS_S if sys.platform == "win32" else ()
    for wait_s in (*waits, None):
        try:
            source.replace(openable(target))
        except PermissionError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
        else:
            return


def publish_new(source: Path, target: Path) -> bool:
    """Give a draft a name that nobody has; False, and the draft stays, when somebody has it.

    Raises:
        OSError: this file system cannot do that in one step, or is gone.
    """
    try:
        if sys.platform == "win32":
            source.rename(openable(target))  # refuses an existing name there
        else:
            os.link(source, target)
            discard(source)
    except FileExistsError:
        return False
    return True


def write_together(contents: Sequence[tuple[Path, bytes | Iterable[bytes]]]) -> None:
    """Write all files or none: every one complete under a draft's name before the first is moved.

    Raises:
        OSError: one of them cannot be written; `filename` is its path.
    """
    drafts: list[tuple[Path, Path]] = []
    current = contents[0][0]
    try:
        for current, data in contents:
            drafts.append((draft(current.parent, data), current))
        for made, current in drafts:
            publish(made, current)
    except OSError as error:
        error.filename = str(current)
        raise
    finally:
        for made, _ in drafts:
            discard(made)


def sweep(folder: Path) -> None:
    """Remove drafts that killed runs left behind, judged by the folder's own clock."""
    with contextlib.suppress(OSError):
        drafts = [
            entry
            for entry in os.scandir(folder)
            if entry.name.startswith(DRAFT_START) and entry.name.endswith(DRAFT_END)
        ]
        if not drafts:
            return
        clock = draft(folder, b"")
        try:
            now = clock.stat().st_mtime
        finally:
            discard(clock)
        for entry in drafts:
            with contextlib.suppress(OSError):
                if now - entry.stat().st_mtime > _ABANDONED_AFTER_S:
                    discard(Path(entry.path))
