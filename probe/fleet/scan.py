"""Reads a folder of reports: the newest of each machine, older ones for trends, files without an answer."""

import gc
import os
from pathlib import Path

from probe.fleet.decode import Decoder, RefusedError
from probe.fleet.files import json_files, open_file
from probe.fleet.member import Fleet, Member, Past, Unreadable


def scan_folder(folder: Path) -> Fleet:
    """Everything the folder and its subfolders say; never fails because of a file in it.

    A machine is its `host.id`, else its `host.name`; equal hardware never merges machines.

    Raises:
        InputError: `folder` is no folder or cannot be listed.
    """
    collecting = gc.isenabled()
    gc.disable()  # nothing here refers back to itself; looking for such rings costs a third of the time
    try:
        return _scan(folder)
    finally:
        if collecting:
            gc.enable()


def _scan(folder: Path) -> Fleet:
    decoder = Decoder()
    unreadable: list[Unreadable] = []
    newest: dict[tuple[str, str], Member] = {}
    past: dict[tuple[str, str], dict[float, Past]] = {}
    files = 0
    for path in json_files(folder, unreadable):
        files += 1
        opened = open_file(folder, path)
        if isinstance(opened, Unreadable):
            unreadable.append(opened)
            continue
        try:
            member = decoder.member(opened, path)
        except RefusedError as refused:
            unreadable.append(Unreadable(path, refused.key, refused.facts))
            continue
        except OSError as error:
            detail = error.strerror or ""
            unreadable.append(Unreadable(path, "fleet.reason.unreadable", {"detail": detail}))
            continue
        finally:
            os.close(opened.descriptor)
        other = newest.get(member.key)
        if other is None:
            newest[member.key] = member
            continue
        newer, older = (member, other) if _order(member) > _order(other) else (other, member)
        newest[member.key] = newer
        if older.time_s != newer.time_s:  # else the copy that the history keeps of the newest
            past.setdefault(member.key, {})[older.time_s] = _past(older)
    members = tuple(sorted(newest.values(), key=lambda member: (member.name.casefold(), member.key)))
    trends = {key: tuple(times[at] for at in sorted(times)) for key, times in past.items()}
    return Fleet(members, trends, tuple(unreadable), files)


def _order(member: Member) -> tuple[bool, float, bool, str]:
    """A report before the hardware alone, then the newer, then the one nearer the top of the folder."""
    return (member.lines is not None, member.time_s, "/" not in member.path, member.path)


def _past(member: Member) -> Past:
    largest = member.comfortable or member.usable
    return Past(
        member.created_at,
        member.time_s,
        member.hardware.driver,
        member.hardware.ram_bytes,
        largest.name if largest else None,
        largest.params_total if largest else None,
    )
