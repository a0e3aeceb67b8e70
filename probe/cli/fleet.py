"""`probe fleet DIR`: who can run what over a folder of reports."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import Session, session_of
from probe.cli.values import place
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE

if TYPE_CHECKING:
    from probe.cli.output import Answer
    from probe.fleet.member import Fleet
    from probe.report.fleet_documents import FleetDocument, FleetModel, WhatIfDocument

Folder = Annotated[Path, typer.Argument(metavar="DIR", parser=place("DIR"), help="cli.argument.folder")]
Model = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="cli.option.fleet_model")]
WhatIf = Annotated[str | None, typer.Option("--what-if", metavar="CHANGE", help="cli.option.what_if")]
_GOOD = ("comfortable", "usable")


def fleet(
    ctx: typer.Context,
    folder: Folder,
    *,
    model: Model = None,
    what_if: WhatIf = None,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print the group's answer; exit code 1 when nobody can run the model asked for."""
    import time

    from probe.cli.console import say
    from probe.cli.output import Wanted, print_answer
    from probe.fleet.summary import build_fleet
    from probe.messages import t

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    asked = _asked(model)
    found, changed = _read(folder, what_if, session)
    if not found.members and not quiet:
        say(t("fleet.empty", session.lang, path=str(folder)))
    now_s = time.time()

    def build(language: str) -> "FleetDocument":
        return build_fleet(
            found,
            folder=folder.resolve(),
            lang=language,
            now_s=now_s,
            created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)),
            with_models=False,
            model=asked,
            what_if=changed,
        )

    document = build(session.lang)
    print_answer(_answer(document, found, build, session), wanted, session)
    if document.asked is not None:
        able = any(one.verdict in _GOOD for one in document.asked.machines)
        return EXIT_DONE if able else EXIT_ANSWER_IS_NO
    return EXIT_DONE


def _read(folder: Path, what_if: str | None, session: Session) -> "tuple[Fleet, WhatIfDocument | None]":
    """The group as the folder shows it, after the change asked for; who waits is told."""
    from probe.cli.slow_notice import slow_notice
    from probe.fleet.scan import scan_folder

    with slow_notice("cli.talk.reading_reports", session):
        found = scan_folder(folder)
    if any(member.lines is None for member in found.members):
        from probe.fleet.compute import complete_hardware_only

        with slow_notice("cli.talk.computing", session):
            found = complete_hardware_only(found, folder, session.lang)
    if what_if is None:
        return found, None
    from probe.fleet.what_if import apply_change, read_change

    with slow_notice("cli.talk.computing", session):
        return apply_change(found, folder, read_change(what_if), session.lang)


def _answer(
    document: "FleetDocument", found: "Fleet", build: "Callable[[str], FleetDocument]", session: Session
) -> "Answer":
    """Every format of the document; `build` makes it in another language."""
    from probe.cli.output import Answer

    def models() -> "Iterator[FleetModel]":
        from probe.fleet.models import models_of
        from probe.fleet.summary import label_members

        return models_of(found.members, label_members(found.members))

    def pieces() -> Iterator[bytes]:
        import msgspec

        from probe.report.encode import to_json_pieces

        # Machines times models: a group of 10,000 has four million entries.
        broken = msgspec.structs.replace(document, models_complete=False)
        return to_json_pieces(document, "models", models(), unfinished=broken)

    def page() -> object:
        from probe.render.fleet_page import fleet_page

        return fleet_page(document, session.lang)

    def csv() -> str:
        from probe.render.fleet_csv import fleet_csv

        return fleet_csv(document)

    def html() -> str:
        import msgspec

        from probe.messages import LANGUAGES
        from probe.render.fleet_html import MACHINES_WITH_MODELS, fleet_html

        # The figures are the same in every language: they are merged once.
        documents = {language: build(language) for language in LANGUAGES}
        if len(document.machines) <= MACHINES_WITH_MODELS:
            documents[session.lang] = msgspec.structs.replace(document, models=tuple(models()))
        return fleet_html(documents, session.lang)

    return Answer(document=document, page=page, html=html, csv=csv, name="fleet", json=pieces)


def _asked(model: str | None) -> tuple[str, str] | None:
    """Id and name of the model asked for."""
    if model is None:
        return None
    from probe.catalog.models import find_model

    spec = find_model(model)
    return spec.id, spec.name


app = single_command("fleet", fleet)
