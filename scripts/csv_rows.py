"""Rows of a CSV as people hand it over: plain or gzip, with any line ends, with Excel's byte-order mark."""

import csv
import gzip
import io
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.plain_text import plain_utf8

Row = dict[str, str]


class UnreadableError(Exception):
    """A file that is not there, no text, or without a column that is needed; says which."""


def read_text(path: Path) -> str:
    """The file's text, unpacked when it is gzip.

    Raises:
        UnreadableError: no such file, no gzip after all, or no text.
    """
    try:
        data = path.read_bytes()
        whole = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        return plain_utf8(whole).decode("utf-8")
    except (OSError, EOFError) as error:
        raise UnreadableError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeError as error:
        raise UnreadableError(f"{path}: no UTF-8 text ({error})") from error


def read_rows(path: Path, needed: Sequence[str] = ()) -> list[Row]:
    """Every row; a cell that a short row lacks is empty, one beyond the heading is dropped.

    Args:
        needed: columns that the file must have, in any order, among others.

    Raises:
        UnreadableError: as read_text, or a column is missing.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise UnreadableError(f"{path}: no column {', '.join(missing)}")
    return [{name: cell or "" for name, cell in row.items() if name is not None} for row in reader]


def whole_number(row: Row, name: str, default: int | None = None) -> int:
    """The number in a cell, at least 1; `default` where it is empty.

    Raises:
        ValueError: it is none.
    """
    text = row.get(name, "").strip()
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{name}: no number above 0: {text!r}")
    return int(text)


def measured_number(row: Row, name: str) -> float:
    """The figure in a cell, 0 where it is empty.

    Raises:
        ValueError: it is none.
    """
    text = row.get(name, "").strip()
    try:
        return float(text or 0)
    except ValueError as error:
        raise ValueError(f"{name}: no number: {text!r}") from error
