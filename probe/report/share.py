"""One machine's report in a folder that a whole group writes to.

`<machine>.json`, `.md` and `.html` belong to the machine whose identity the JSON
carries: a machine is its `host.id`, else its `host.name`. The JSON takes the name,
so it is published first, and only under a name that is free or already ours.
"""

import errno
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from probe.errors import InputError
from probe.report.write import DRAFT_START, discard, draft, publish, publish_new, sweep

HISTORY: Final = "history"
MOST_KEPT: Final = 100  # reports of one machine in its history: some 30 MB
_SUFFIX: Final = ".json"
# 255 bytes on most file systems, 143 on encrypted ones; room for `-` + id and the suffix.
_STEM_BYTES: Final = 90
_ID_LETTERS: Final = (6, 12, 32)
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)", re.I)
_STAMP_LETTERS: Final = 32
_RUNS_A_SECOND: Final = 100
_STAMPED: Final = re.compile(r"\d{8}T\d{6}Z(?:-[\w-]+)?\.json", re.ASCII)
_MAX_OWNER_BYTES: Final = 32 * 1024 * 1024
_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
_FORBIDDEN: Final = {errno.EROFS, errno.EACCES, errno.EPERM}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who a machine is."""

    id: str | None = None
    name: str | None = None

    def letters(self, count: int) -> str:
        """`count` letters that tell machines of one name apart."""
        if self.id is not None and self.id.isascii() and self.id.isalnum() and len(self.id) >= count:
            return self.id[:count].lower()
        text = f"id {self.id}" if self.id is not None else f"name {self.name}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:count]

    def is_same(self, other: "Owner") -> bool:
        """Whether both are one machine: by id where both have one, else by name where neither has."""
        if self.id is not None or other.id is not None:
            return self.id == other.id
        return self.name == other.name


class _OwnedMachine(msgspec.Struct, frozen=True):
    host: Owner = Owner()


class _OwnedReport(msgspec.Struct, frozen=True):
    machine: _OwnedMachine = _OwnedMachine()


def share_files(
    folder: Path, owner: Owner, created_at: str, files: Mapping[str, bytes]
) -> tuple[tuple[Path, ...], Path]:
    """Put one report into the folder; returns its files and its entry in the history.

    Args:
        created_at: the report's own time, ISO 8601 in UTC.
        files: content by suffix; `.json` is among them.

    Raises:
        InputError: the folder is missing, full, read-only or gone; no half file is left.
    """
    drafts: dict[str, Path] = {}
    try:
        if not folder.is_dir():
            raise InputError("share.no_folder", path=str(folder))
        sweep(folder)
        for suffix, data in {**files, HISTORY: files[_SUFFIX]}.items():
            drafts[suffix] = draft(folder, data)
        # All bytes are on the disk now: what follows only gives names.
        stem = _claim(folder, owner, drafts[_SUFFIX])
        for suffix, made in drafts.items():
            if suffix not in (_SUFFIX, HISTORY):
                publish(made, folder / f"{stem}{suffix}")
        kept = _keep(drafts[HISTORY], folder / HISTORY / stem, created_at)
        _forget_oldest(kept, owner)
    except OSError as error:
        raise _failure(error, folder) from error
    finally:
        for made in drafts.values():
            discard(made)
    return tuple(folder / f"{stem}{suffix}" for suffix in files), kept


def file_stem(name: str | None) -> str:
    """A file name that every system takes: letters and digits of any script, no path, nothing reserved."""
    composed = unicodedata.normalize("NFC", name or "")
    letters = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in composed)
    stem = _cut(letters.strip("-_. "), _STEM_BYTES).rstrip("-_. ")
    if not stem:
        return "probe-report"
    return f"pc-{stem}" if _RESERVED.fullmatch(stem.split(".")[0]) else stem


def _cut(text: str, most_bytes: int) -> str:
    """The beginning of `text` that takes at most `most_bytes`, never half a letter."""
    return text.encode("utf-8", "ignore")[:most_bytes].decode("utf-8", "ignore")


def _claim(folder: Path, owner: Owner, made: Path) -> str:
    """Publish the JSON under the machine's own name; returns that name without its suffix.

    A second machine of the same name gets letters of its id behind it, and so does
    one on a file system that cannot take a free name in one step.
    """
    stem = file_stem(owner.name)
    longer = [f"{stem}-{owner.letters(count)}" for count in _ID_LETTERS]
    for name in (*longer, stem):  # where it wrote before, it goes on
        target = folder / f"{name}{_SUFFIX}"
        if _owner_of(target, owner) is True:
            publish(made, target)
            return name
    for name in (stem, *longer):
        target = folder / f"{name}{_SUFFIX}"
        found = _owner_of(target, owner)
        if found is None and _take(made, target, alone=name != stem):
            return name
        if found is not False and _owner_of(target, owner) is True:  # our own other run was faster
            publish(made, target)
            return name
    raise InputError("share.name_taken", path=str(folder), name=stem)


def _take(made: Path, target: Path, *, alone: bool) -> bool:
    """Take a free name; `alone` says that no other machine would use it, so replacing is safe too."""
    try:
        return publish_new(made, target)
    except OSError as error:
        if not made.exists():
            raise
        if error.errno in _FULL or not target.parent.is_dir():
            raise
        if not alone:
            return False
        publish(made, target)
        return True


def _owner_of(target: Path, owner: Owner) -> bool | None:
    """True: `owner` wrote this file; False: somebody else did, or it is no report; None: there is none."""
    try:
        if target.stat().st_size > _MAX_OWNER_BYTES:
            return False
        raw = target.read_bytes()
    except FileNotFoundError:
        return None
    except (PermissionError, IsADirectoryError):
        return False
    try:
        found = msgspec.json.decode(raw, type=_OwnedReport).machine.host
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return owner.is_same(found)


def _keep(made: Path, folder: Path, created_at: str) -> Path:
    """Move a copy into the machine's history; two runs of one second are both kept."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = "".join(letter for letter in created_at if letter.isascii() and letter.isalnum())
    stamp = kept[:_STAMP_LETTERS] or "undated"
    for count in range(_RUNS_A_SECOND):
        target = folder / (f"{stamp}-{count}{_SUFFIX}" if count else f"{stamp}{_SUFFIX}")
        try:
            if publish_new(made, target):
                return target
        except OSError:
            if not made.exists():
                raise
            break  # this file system cannot take a free name in one step: take one that nobody else makes
    target = folder / f"{stamp}-{made.stem.removeprefix(DRAFT_START)}{_SUFFIX}"
    publish(made, target)
    return target


def _forget_oldest(kept: Path, owner: Owner) -> None:
    """Leave the newest MOST_KEPT reports of this machine; whatever we did not write stays.

    A file goes only when its name is one of ours and its content says it is this machine's;
    `kept`, the newest, stays whatever its clock said.
    """
    try:
        ours = sorted(path for path in kept.parent.iterdir() if _STAMPED.fullmatch(path.name))
        for path in ours[:-MOST_KEPT]:
            if path != kept and _owner_of(path, owner) is True:
                path.unlink(missing_ok=True)
    except OSError:
        return  # the report is in its place: an old one that cannot go is no failure


def _failure(error: OSError, folder: Path) -> InputError:
    """The one sentence that says what the folder refused."""
    path = str(folder)
    if error.errno in _FULL:
        return InputError("share.full", path=path)
    if error.errno in _FORBIDDEN:
        return InputError("share.read_only", path=path)
    return InputError("share.gone", path=path, detail=error.strerror or type(error).__name__)
