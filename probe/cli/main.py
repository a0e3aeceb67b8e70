"""The entry: streams made safe, arguments read, one command called, every failure one line.

A command is one line of COMMANDS: its module is imported when it is called and
holds `app`, its help is the message `cli.command.<name>`.
"""

import atexit
import contextlib
import gc
import importlib
import os
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from probe import __version__
from probe.cli.console import make_streams_safe, print_text, say
from probe.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_OUR_FAULT, ProbeError

if TYPE_CHECKING:
    from probe.cli.session import Session

COMMANDS: Final[Mapping[str, str]] = {
    "scan": "probe.cli.scan",
    "check": "probe.cli.check",
    "plan": "probe.cli.plan",
    "train": "probe.cli.train",
    "bench": "probe.cli.bench",
    "preflight": "probe.cli.preflight",
    "doctor": "probe.cli.doctor",
    "fleet": "probe.cli.fleet",
    "diff": "probe.cli.diff",
    "catalog": "probe.cli.catalog",
    "mcp": "probe.cli.mcp",
    "completion": "probe.cli.completion",
}
_COMPLETE: Final = "__complete"


def run() -> None:
    """The console script `probe`."""
    # One run makes few cycles and many small answers: looking for cycles among them took 7 % of a report.
    gc.set_threshold(100_000, 50, 50)
    _leave(main(sys.argv[1:]))


def _leave(code: int) -> NoReturn:
    """End here, without taking the interpreter apart.

    That took 7 % of a report, for memory which the system takes back at once. A driver's library that
    still hangs in its thread holds locks which it takes again while a process is torn down.
    """
    atexit._run_exitfuncs()  # what others asked for at the end: temporary folders, coverage
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or no console at all
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code and never raises."""
    lang = "en"
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    try:
        make_streams_safe()
        if list(arguments) in (["--version"], ["-V"]):
            print_text(f"probe {__version__}\n")
            return EXIT_DONE
        from probe.cli.language import language_of_run  # reads messages: not for --version

        lang = language_of_run(arguments)
        if arguments[:1] == [_COMPLETE]:
            return _complete(arguments[1:], lang)
        if verbose and not {"--help", "-h"}.isdisjoint(arguments):
            # -v asks for the whole help, also of commands that know no -v themselves
            arguments = [word for word in arguments if word not in ("-v", "--verbose")]
        return _dispatch(list(arguments), lang, verbose)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ProbeError as error:
        from probe.api.failures import error_text

        say(error_text(error, lang))
        return error.exit_code
    except Exception as error:  # the one boundary: whatever happens, one honest line
        return _unforeseen(error, lang, verbose)


def _unforeseen(error: Exception, lang: str, verbose: bool) -> int:
    import traceback

    if verbose:
        say(traceback.format_exc())
    try:
        from probe.api.failures import unforeseen_line

        say(unforeseen_line(error, lang))
    except Exception:  # the installation is so broken that not even messages load
        say(f"probe: {type(error).__name__}: {error}")
    return EXIT_OUR_FAULT


def _complete(words: Sequence[str], lang: str) -> int:
    """Answer a shell's Tab key; the last word, the one being typed, comes behind a colon."""
    from probe.cli.complete_words import answer_text, completions

    *before, typed = words or [":"]
    print_text(answer_text(completions(_app(), [*before, typed.removeprefix(":")], lang)))
    return EXIT_DONE


def _dispatch(arguments: list[str], lang: str, verbose: bool) -> int:
    from probe.cli.session import Session
    from probe.cli.slow_notice import watch_of_run

    watch = watch_of_run(arguments, lang)
    session = Session(lang=lang, verbose=verbose, watch=watch)
    watch.phase()
    try:
        if _asks_nothing_else(arguments):
            _load_msgspec()
            from probe.cli.machine_report import report_of_this_machine

            return report_of_this_machine(session, json="--json" in arguments)
        return _parsed(arguments, session)
    finally:
        watch.stop()


def _asks_nothing_else(arguments: list[str]) -> bool:
    """Whether the line asks for the report of this machine, as a page or as JSON, and no more.

    That is what most people type, and the parser takes longer to load than anything else of it
    (35 of 250 ms): these lines go without. A test holds them to what the parser would have read.
    """
    from probe.messages import LANGUAGES

    for language in LANGUAGES:
        asked = ["--lang", language]
        if arguments in (asked, [*asked, "--json"], ["--json", *asked]):
            return True
    return arguments in ([], ["--json"])


def _load_msgspec() -> None:
    """Load msgspec without typing_extensions, of which it takes what `typing` itself has since Python 3.11.

    With it come inspect, ast, dis and tokenize: 9 of 230 ms. The parser loads these anyway.
    """
    if "typing_extensions" in sys.modules or not hasattr(typing, "NotRequired"):
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # how an import is told to fail
    try:
        importlib.import_module("msgspec")
    finally:
        del sys.modules["typing_extensions"]


def _parsed(arguments: list[str], session: "Session") -> int:
    import typer

    from probe.cli.failures import UsageError, usage_exit_code, usage_line

    try:
        command: Any = typer.main.get_command(_app())
        outcome = command.main(arguments, prog_name="probe", standalone_mode=False, obj=session)
    except UsageError as error:
        say(usage_line(error, session.lang, arguments, COMMANDS))
        return usage_exit_code(error)
    except typer.Abort:
        return EXIT_INTERRUPTED
    return outcome if isinstance(outcome, int) else EXIT_DONE


def _app() -> Any:
    import typer

    from probe.cli.plain_help import HELP_NAMES, LazyGroup
    from probe.cli.report import report

    class Commands(LazyGroup):
        """The commands of `probe`."""

        modules: ClassVar[Mapping[str, str]] = COMMANDS

    app = typer.Typer(
        cls=Commands,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=HELP_NAMES,
    )
    app.callback(invoke_without_command=True, help="cli.command.probe", epilog="cli.example.probe")(report)
    return app
