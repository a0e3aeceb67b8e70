"""Paths that Windows opens only by their long form: by default it stops at 260 letters."""

import os
from pathlib import Path
from typing import Final

# Folders stop at 248; names of drafts and parts still come behind.
_SAFE_LETTERS: Final = 200
_EXTENDED: Final = "\\\\?\\"


def openable(path: Path) -> Path:
    """The same place, on Windows by the long form where the plain one might be refused.

    The switch that allows long paths everywhere is off by default and belongs to administrators.
    """
    if os.name != "nt" or len(str(path)) < _SAFE_LETTERS:
        return path
    return Path(extended(os.path.abspath(path)))  # noqa: PTH100 - resolves `..`, which the long form does not


def extended(absolute: str) -> str:
    """`\\\\?\\C:\\...` or `\\\\?\\UNC\\server\\share\\...` of an absolute path of Windows."""
    if absolute.startswith((_EXTENDED, "\\\\.\\")):
        return absolute
    if absolute.startswith("\\\\"):
        return f"{_EXTENDED}UNC\\{absolute[2:]}"
    return _EXTENDED + absolute
