"""stdout is data, stderr is talk; neither ever dies of a letter the console lacks."""

import errno
import os
import sys
from collections.abc import Iterable
from typing import Final, TextIO

from probe.errors import InputError
from probe.render.text import fit_encoding

_DEFAULT_WIDTH: Final = 80
_ENABLE_VIRTUAL_TERMINAL: Final = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING
_STD_OUTPUT_HANDLE: Final = -11


def make_streams_safe() -> None:
    """Letters that the console's code page lacks become `?`, not an exception after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def say(text: str) -> None:
    """One line of talk on stderr."""
    _write(sys.stderr, f"{text}\n")


def print_text(text: str) -> None:
    """Data as text, in the console's own encoding."""
    _write(sys.stdout, text)


def print_bytes(data: bytes | Iterable[bytes]) -> None:
    """Data byte for byte: UTF-8 stays UTF-8 on every console.

    Pieces are made and printed one after another; each is UTF-8 by itself.
    """
    pieces = (data,) if isinstance(data, bytes) else data
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        for piece in pieces:
            print_text(piece.decode("utf-8"))
        return
    try:
        sys.stdout.flush()
        for piece in pieces:
            buffer.write(piece)
        buffer.flush()
    except OSError as error:
        _give_up(sys.stdout, error)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # pythonw has no console
        return
    try:
        stream.write(fit_encoding(text, stream.encoding or "utf-8"))
        stream.flush()
    except OSError as error:
        _give_up(stream, error)


def _give_up(stream: TextIO, error: OSError) -> None:
    """Stop writing there: without a word where nobody reads any more, else saying why.

    Raises:
        InputError: what should take the answer cannot, a full disk for example.
    """
    _close_quietly(stream)
    # Windows says "invalid argument" of a pipe whose reader has gone.
    gone = isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)
    if not gone and stream is not sys.stderr:
        raise InputError("cli.output.stdout_failed", detail=error.strerror or str(error)) from error


def _close_quietly(stream: TextIO) -> None:
    """The reader has gone (`probe | head`): what is left has no addressee, and that is no error of ours."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at this stream."""
    return stream is not None and stream.isatty()


def width() -> int:
    """Columns of the page: COLUMNS, else the terminal's, also through a pager, else 80."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        try:
            return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
        except (AttributeError, OSError, ValueError):
            continue
    return _DEFAULT_WIDTH


def wants_colour() -> bool:
    """Colour where a terminal shows it; NO_COLOR (no-color.org) forbids it, FORCE_COLOR asks for it."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR", "")
    if forced and forced != "0":
        return True
    if os.environ.get("TERM") == "dumb" or not is_terminal(sys.stdout):
        return False
    return _shows_escape_sequences()


def _shows_escape_sequences() -> bool:
    """Whether ANSI sequences work: always, except on Windows, where they are switched on (10 and later)."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.GetStdHandle(_STD_OUTPUT_HANDLE)
        mode = ctypes.c_ulong()
        if not kernel.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel.SetConsoleMode(handle, mode.value | _ENABLE_VIRTUAL_TERMINAL))
    return True
