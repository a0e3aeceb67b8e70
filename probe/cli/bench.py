"""`probe bench`: measured bandwidth of RAM, GPU and links, and real tokens a second beside the estimate."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    from probe.render.page import Page

Model = Annotated[str | None, typer.Option("--model", metavar="FILE", help="bench.option.model")]
Program = Annotated[str | None, typer.Option("--llama-bench", metavar="PROGRAM", help="bench.option.program")]
NoEngine = Annotated[bool, typer.Option("--no-engine", help="bench.option.no_engine")]
NoSave = Annotated[bool, typer.Option("--no-save", help="bench.option.no_save")]


def bench(
    ctx: typer.Context,
    *,
    model: Model = None,
    llama_bench: Program = None,
    no_engine: NoEngine = False,
    no_save: NoSave = False,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    alias: options.Alias = None,
    no_host_name: options.NoHostName = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Measure this machine, keep the figures, and show them beside what we had estimated."""
    from probe.benchmark.store import fingerprint, save_measurements, stale_measurements
    from probe.catalog.enrich import enrich
    from probe.cli.bench_session import BenchSession, EngineAsk
    from probe.cli.console import is_terminal, say
    from probe.cli.machine_source import scanned_machine
    from probe.cli.output import Answer, Wanted, print_answer
    from probe.collectors.machine_identity import state_folder
    from probe.machine.redact import redact
    from probe.messages import t
    from probe.messages.reason import Reason
    from probe.report.bench_documents import BenchDocument
    from probe.report.encode import sentence

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    if model is not None and not Path(model).expanduser().is_file():
        raise InputError("cli.model.no_file", text=model)  # before seconds of measuring
    scanned = scanned_machine(session)
    mark = fingerprint(scanned)

    def tell(key: str) -> None:
        session.stop_watch()  # each step is announced
        if not quiet and is_terminal(sys.stderr):
            say(t(key, session.lang))

    run = BenchSession(enrich(scanned), mark, tell)
    run.measure_memory()
    run.measure_gpus()
    if not no_engine:
        run.measure_engine(EngineAsk(model=model, program=llama_bench))
    folder = state_folder()
    stored, stale = False, 0
    if not no_save and folder is not None:
        # Only now, in one step: whoever interrupts before keeps what was stored earlier.
        stale = len(stale_measurements(folder, mark))
        try:
            save_measurements(folder, run.measurements)
            stored = True
        except OSError as error:
            run.notes.append(Reason(code="bench.note.not_stored", values={"detail": str(error)[:120]}))
    shown = redact(scanned, alias=alias, show_host_name=not no_host_name)
    document = BenchDocument(
        machine_name=shown.host.name,
        measurements=tuple(run.measurements),
        runs=tuple(run.runs),
        notes=tuple(sentence(note, session.lang) for note in run.notes),
        note_codes=tuple(run.notes),
        stored=stored,
        stale=stale,
    )

    def page_in(lang: str) -> "Page":
        import msgspec

        from probe.render.bench_page import bench_page

        notes = tuple(sentence(note, lang) for note in document.note_codes)
        return bench_page(msgspec.structs.replace(document, notes=notes), lang)

    def html() -> str:
        from probe.render.html import plain_html

        return plain_html(page_in, session.lang)

    answer = Answer(
        document=document,
        page=lambda: page_in(session.lang),
        html=html,
        name=document.machine_name,
        topic="bench",
    )
    print_answer(answer, wanted, session)
    return EXIT_DONE


app = single_command("bench", bench)
