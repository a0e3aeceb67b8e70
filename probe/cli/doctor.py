"""`probe doctor`: what is broken or wasted here, with the fix; or what a pasted error means here."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE, InputError

if TYPE_CHECKING:
    from probe.cli.output import Answer
    from probe.machine import Machine
    from probe.render.page import Page

_MAX_BYTES: Final = 262_144  # of a piped log; its first error stands near its start

ErrorText = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="cli.option.error")]


def doctor(
    ctx: typer.Context,
    *,
    error: ErrorText = None,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print the findings."""
    from probe.cli.machine_source import machine_of
    from probe.cli.output import Answer, Wanted, print_answer

    text = None if error is None else _text_of(error)
    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    found = machine_of(machine, spec, session=session)

    if text is not None:
        answer, known = _explained(text, found, session.lang)
        print_answer(answer, wanted, session)
        return EXIT_DONE if known else EXIT_ANSWER_IS_NO

    from probe.report.build import build_doctor

    document = build_doctor(found, lang=session.lang)

    def page_in(lang: str) -> "Page":
        from probe.render.findings import doctor_page

        told = document if lang == session.lang else build_doctor(found, lang=lang)
        return doctor_page(told.findings, _shown(found), lang)

    def html() -> str:
        from probe.render.html import plain_html

        return plain_html(page_in, session.lang)

    answer = Answer(
        document=document,
        page=lambda: page_in(session.lang),
        html=html,
        name=found.host.name,
        topic="doctor",
    )
    print_answer(answer, wanted, session)
    return EXIT_DONE


def _text_of(error: str) -> str:
    """The pasted text, or with `-` what is piped in.

    Raises:
        InputError: there is no text.
    """
    text = error
    if error == "-" and sys.stdin is not None:
        text = sys.stdin.buffer.read(_MAX_BYTES).decode("utf-8", errors="replace")
    if not text.strip():
        raise InputError("errors.page.empty")
    return text


def _shown(machine: "Machine") -> "Machine":
    """The machine as a page for a help forum shows it: without its name, but with the words of --as."""
    from probe.machine import HostOrigin
    from probe.machine.redact import redact

    return redact(machine, show_host_name=machine.host.origin is HostOrigin.SPEC)


def _explained(text: str, found: "Machine", lang: str) -> "tuple[Answer, bool]":
    """The answer about a pasted error, and whether it was recognised."""
    from probe.cli.output import Answer
    from probe.report.error_document import build_error_answer

    document = build_error_answer(text, found, lang=lang)

    def page_in(one: str) -> "Page":
        from probe.catalog.engine_errors import engine_errors
        from probe.render.error_page import error_page

        told = document if one == lang else build_error_answer(text, found, lang=one)
        known = [(row.engine, row.id) for row in engine_errors()]
        return error_page(told.findings, known, _shown(found), one)

    def html() -> str:
        from probe.render.html import plain_html

        return plain_html(page_in, lang)

    answer = Answer(
        document=document, page=lambda: page_in(lang), html=html, name=found.host.name, topic="error"
    )
    return answer, bool(document.findings)


app = single_command("doctor", doctor)
