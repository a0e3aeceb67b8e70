"""`probe diff A B`: what changed between two reports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.cli.values import place
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE, InputError

if TYPE_CHECKING:
    from probe.machine import Machine
    from probe.report.documents import ReportDocument

Before = Annotated[Path, typer.Argument(metavar="A", parser=place("A"), help="cli.argument.report_before")]
After = Annotated[Path, typer.Argument(metavar="B", parser=place("B"), help="cli.argument.report_after")]


def diff(
    ctx: typer.Context,
    before: Before,
    after: After,
    *,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print the changes; exit code 1 when something got worse."""
    from probe.cli.output import Answer, Wanted, print_answer
    from probe.report.diff import compare

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    older, newer = _read(before), _read(after)
    document = compare(older, newer, lang=session.lang)

    def page() -> object:
        from probe.render.diff_page import diff_page

        return diff_page(document, session.lang, whole=verbose)

    def html() -> str:
        from probe.render.diff_page import diff_page
        from probe.render.html import plain_html

        return plain_html(
            lambda one: diff_page(compare(older, newer, lang=one), one, whole=True), session.lang
        )

    def csv() -> str:
        from probe.render.csv import render_rows

        columns = ("kind", "effect", "path", "before", "after", "text")
        rows = ((one.kind, one.effect, one.path, one.before, one.after, one.text) for one in document.changes)
        return render_rows(columns, rows)

    print_answer(Answer(document=document, page=page, html=html, csv=csv, name="diff"), wanted, session)
    worse = any(change.effect == "worse" for change in document.changes)
    return EXIT_ANSWER_IS_NO if worse else EXIT_DONE


def _read(path: Path) -> "ReportDocument | Machine":
    """A report, else the machine in the file.

    Raises:
        InputError: it is neither.
    """
    from probe.report.read import read_machine, read_report

    try:
        return read_report(path)
    except InputError as error:
        if error.key != "reading.not_a_report":
            raise
    return read_machine(path)


app = single_command("diff", diff)
