"""The report of one machine, from the request to the printed answer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from probe.cli.machine_source import machine_of
from probe.cli.output import Answer, Wanted, print_answer
from probe.cli.session import Session
from probe.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    from probe.recommender.options import Options


def report_of_this_machine(session: Session, *, json: bool) -> int:
    """`probe` and `probe --json`."""
    from probe.api.models import use_own_models
    from probe.recommender.options import Options

    use_own_models()
    wanted = Wanted.checked(json=json, format_name=None, output=None, quiet=False)
    print_report(session, wanted, Options)
    return EXIT_DONE


def print_report(
    session: Session,
    wanted: Wanted,
    asked: "Callable[[], Options]",
    *,
    machine: Path | None = None,
    spec: str | None = None,
    share: Path | None = None,
    verbose: bool = False,
) -> None:
    """Print or write the report, and put it into a shared folder.

    Args:
        asked: makes the options; called when the machine is known, for a model that is named wrongly
            is the lesser news.
        machine, spec: another machine than this one, from a file or from words.
        share: the shared folder.
    """
    if share is not None and not share.is_dir():
        raise InputError("share.no_folder", path=str(share))
    found = machine_of(machine, spec, session=session)

    from probe.report.build import build_report

    options = asked()
    document = build_report(found, options, lang=session.lang, created_at=_now())
    if share is not None:
        from probe.fleet.servers import with_servers

        document = with_servers(document, share, session.lang)

    def page() -> object:
        from probe.render.report_page import report_page

        return report_page(document, session.lang, verbose=verbose)

    def csv() -> str:
        from probe.render.csv import report_csv

        return report_csv(document)

    def html() -> str:
        from probe.render.html_report import report_html
        from probe.report.model_figures import figure_table

        return report_html(document, session.lang, figure_table(found, options))

    answer = Answer(document=document, page=page, csv=csv, name=document.machine.host.name, html=html)
    if share is not None:
        from probe.cli.share import share_report

        share_report(share, document, answer, session, quiet=wanted.quiet)
    print_answer(answer, wanted, session)


def _now() -> str:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
