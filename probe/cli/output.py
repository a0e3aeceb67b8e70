"""Where an answer goes and in which format: stdout, a file, or a folder of files."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from probe.cli import console
from probe.cli.session import Session
from probe.errors import InputError
from probe.long_paths import openable
from probe.messages import t

_FORMAT_OF_SUFFIX: Final = {
    ".md": "markdown",
    ".json": "json",
    ".html": "html",
    ".csv": "csv",
    ".txt": "terminal",
}
_FILE_WIDTH: Final = 100


class Answer(NamedTuple):
    """One command's answer, every format made only when asked for."""

    document: object
    page: Callable[[], Any]
    html: Callable[[], str]
    csv: Callable[[], str] | None = None
    name: str | None = None  # of the machine, for files in a folder
    topic: str | None = None  # stands behind the name: only the report is called like the machine alone
    json: Callable[[], Iterable[bytes]] | None = None  # in pieces, where `document` alone is not all


class Wanted(NamedTuple):
    """How the answer is wanted. `folder` and `file` exclude each other; neither means stdout."""

    format_name: str
    print_json: bool
    file: Path | None
    folder: Path | None
    quiet: bool

    @classmethod
    def checked(cls, *, json: bool, format_name: str | None, output: str | None, quiet: bool) -> "Wanted":
        """The wish, refused before any work is done where it cannot be granted.

        Raises:
            InputError: formats that contradict each other, a suffix we do not know, or a target
                that cannot be written.
        """
        if json and format_name not in (None, "json") and output is None:
            raise InputError("cli.output.two_formats", format=format_name)
        if output is None:
            chosen = "json" if json else format_name or "terminal"
            return cls(chosen, json, None, None, quiet)
        if not output.strip():
            raise InputError("cli.usage.empty_path", option="--output")
        path = openable(Path(output).expanduser())
        if path.is_dir() or output.endswith(("/", "\\")):
            _check_folder(path)
            return cls(format_name or "terminal", json, None, path, quiet)
        chosen = _format_of_file(path, format_name)
        _check_folder(path.parent)
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError("cli.output.unwritable", path=str(path))
        return cls(chosen, json, path, None, quiet)


def _format_of_file(output: Path, format_name: str | None) -> str:
    by_suffix = _FORMAT_OF_SUFFIX.get(output.suffix.lower())
    if by_suffix is None and format_name is None:
        known = ", ".join(_FORMAT_OF_SUFFIX)
        raise InputError("cli.output.suffix_unknown", path=str(output), known=known)
    if by_suffix is not None and format_name not in (None, by_suffix):
        raise InputError("cli.output.suffix_contradicts", path=str(output), format=format_name)
    return by_suffix or format_name or "terminal"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError("cli.output.no_folder", path=str(folder))
    if not os.access(folder, os.W_OK):
        raise InputError("cli.output.unwritable", path=str(folder))


def print_answer(answer: Answer, wanted: Wanted, session: Session) -> None:
    """Print the answer, or write it to the files that were asked for.

    Raises:
        InputError: a target cannot be written; then nothing of it is.
    """
    if wanted.folder is not None:
        from probe.report.share import file_stem

        stem = "-".join(file_stem(part) for part in (answer.name, answer.topic) if part)
        targets = [
            wanted.folder / f"{stem or file_stem(None)}{suffix}" for suffix in (".md", ".json", ".html")
        ]
    else:
        targets = [wanted.file] if wanted.file is not None else []
    if targets:
        contents = [(path, _file_bytes(answer, _format_of_target(path, wanted), session)) for path in targets]
        _write(contents)
        if not wanted.quiet:
            for path in targets:
                console.say(t("cli.talk.written", session.lang, path=str(path)))
    if wanted.print_json or (not targets and wanted.format_name == "json"):
        data = bytes_of(answer, "json", session) if answer.json is None else answer.json()
        session.stop_watch()
        console.print_bytes(data)
    elif not targets:
        _print(answer, wanted.format_name, session)


def _format_of_target(path: Path, wanted: Wanted) -> str:
    return _FORMAT_OF_SUFFIX.get(path.suffix.lower(), wanted.format_name)


def _print(answer: Answer, format_name: str, session: Session) -> None:
    if format_name == "terminal":
        from probe.render.terminal import render_terminal

        page = answer.page()
        text = render_terminal(page, width=console.width(), colour=console.wants_colour())
        session.stop_watch()
        console.print_text(text)
        return
    data = bytes_of(answer, format_name, session)
    session.stop_watch()
    if console.is_terminal(sys.stdout):
        console.print_text(data.decode("utf-8"))
    else:
        console.print_bytes(data)


def _file_bytes(answer: Answer, format_name: str, session: Session) -> bytes | Iterable[bytes]:
    """As printed; a CSV file begins with the mark that makes spreadsheets read Korean as UTF-8."""
    if format_name == "json" and answer.json is not None:
        return answer.json()
    mark = b"\xef\xbb\xbf" if format_name == "csv" else b""
    return mark + bytes_of(answer, format_name, session)


def bytes_of(answer: Answer, format_name: str, session: Session) -> bytes:
    """The answer in one format, UTF-8."""
    if format_name == "json":
        from probe.render.json import render_json

        if answer.json is not None:
            return b"".join(answer.json())
        return render_json(answer.document)
    if format_name == "csv":
        if answer.csv is None:
            raise InputError("cli.output.no_csv")
        return answer.csv().encode("utf-8")
    if format_name == "html":
        return answer.html().encode("utf-8")
    page = answer.page()
    if format_name == "markdown":
        from probe.render.markdown import render_markdown

        return render_markdown(page).encode("utf-8")
    from probe.render.terminal import render_terminal

    return render_terminal(page, width=_FILE_WIDTH).encode("utf-8")


def _write(contents: Sequence[tuple[Path, bytes | Iterable[bytes]]]) -> None:
    from probe.report.write import write_together

    try:
        write_together(contents)
    except OSError as error:
        raise InputError("cli.output.unwritable", path=str(error.filename)) from error
