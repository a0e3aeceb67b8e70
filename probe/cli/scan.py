"""`probe scan`: the hardware alone."""

from pathlib import Path
from typing import Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.cli.values import place
from probe.errors import EXIT_DONE

Record = Annotated[
    Path | None, typer.Option("--record", metavar="DIR", parser=place("--record"), help="cli.option.record")
]


def scan(
    ctx: typer.Context,
    *,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    record: Record = None,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    alias: options.Alias = None,
    no_host_name: options.NoHostName = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print what the machine is made of."""
    from probe.cli.machine_source import machine_of
    from probe.cli.output import Answer, Wanted, print_answer

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    found = machine_of(machine, spec, session=session, record=record)

    from probe.machine.redact import redact

    document = redact(found, alias=alias, show_host_name=not no_host_name)

    def page() -> object:
        from probe.render.scan_page import scan_page

        return scan_page(document, session.lang, verbose=verbose)

    def html() -> str:
        from probe.messages import LANGUAGES
        from probe.render.html import render_html
        from probe.render.scan_page import scan_page

        pages = {lang: scan_page(document, lang, verbose=True) for lang in LANGUAGES}
        return render_html(pages, session.lang)

    answer = Answer(document=document, page=page, html=html, name=document.host.name, topic="scan")
    print_answer(answer, wanted, session)
    return EXIT_DONE


app = single_command("scan", scan)
