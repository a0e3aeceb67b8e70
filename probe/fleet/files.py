"""Finds and reads the JSON files of a shared folder: no link followed out of it, no pipe waited for."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from probe.errors import InputError
from probe.fleet.member import Unreadable

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
HEAD_BYTES: Final = 32 * 1024
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe opens at once instead of waiting for its writer
    | getattr(os, "O_CLOEXEC", 0)
)


class OpenFile(NamedTuple):
    """An open regular file of known size. The descriptor belongs to whoever asked."""

    descriptor: int
    size_bytes: int
    modified_s: float


def json_files(folder: Path, unreadable: list[Unreadable]) -> Iterator[str]:
    """Paths below `folder` of everything called *.json, with /, in a stable order.

    Names that begin with a point are files being written. Links are not followed;
    what cannot be listed goes to `unreadable`.

    Raises:
        InputError: `folder` itself is no folder or cannot be listed.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below if below else folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                raise InputError("fleet.folder", path=str(folder), detail=error.strerror or "") from error
            unreadable.append(_unreadable(below, error))
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
            except OSError as error:
                unreadable.append(_unreadable(path, error))
                continue
            if is_folder:
                folders.append(path)
            elif entry.name[-5:].lower() == ".json":
                yield path
        waiting += reversed(folders)


def open_file(folder: Path, path: str) -> OpenFile | Unreadable:
    """The file opened for reading, or why not: a link, no regular file, too large, no permission."""
    whole = os.path.join(folder, path)  # noqa: PTH118 - ten thousand times; a Path costs as much as the read
    try:
        if not hasattr(os, "O_NOFOLLOW") and stat.S_ISLNK(os.lstat(whole).st_mode):
            return Unreadable(path, "fleet.reason.link", {})
        descriptor = os.open(whole, _FLAGS)
    except (OSError, ValueError) as error:
        if os.path.islink(whole):  # noqa: PTH114 - as above
            return Unreadable(path, "fleet.reason.link", {})
        return _unreadable(path, error)
    try:
        found = os.fstat(descriptor)
    except OSError as error:
        os.close(descriptor)
        return _unreadable(path, error)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return Unreadable(path, "fleet.reason.no_file", {})
    if found.st_size > MAX_FILE_BYTES:
        os.close(descriptor)
        return Unreadable(path, "fleet.reason.too_large", {"size_bytes": found.st_size})
    return OpenFile(descriptor, found.st_size, found.st_mtime)


def read_rest(opened: OpenFile, head: bytes) -> bytes:
    """The whole file, `head` having been read; never more than its size when it was opened.

    Raises:
        OSError: the share went away.
    """
    parts = [head]
    missing = opened.size_bytes - len(head)
    while missing > 0:
        part = os.read(opened.descriptor, missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _unreadable(path: str, error: Exception) -> Unreadable:
    return Unreadable(
        path, "fleet.reason.unreadable", {"detail": getattr(error, "strerror", None) or str(error)}
    )
