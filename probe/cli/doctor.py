"""`probe doctor`: what is broken or wasted here, with the fix."""

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.errors import EXIT_DONE


def doctor(
    ctx: typer.Context,
    *,
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

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    found = machine_of(machine, spec, session=session, quiet=quiet)

    from probe.report.build import build_doctor

    document = build_doctor(found, lang=session.lang)

    def page() -> object:
        from probe.machine.redact import redact
        from probe.render.findings import doctor_page

        return doctor_page(document.findings, redact(found, show_host_name=False), session.lang)

    print_answer(Answer(document=document, page=page, csv=None, name=found.host.name), wanted, session)
    return EXIT_DONE


app = single_command("doctor", doctor)
