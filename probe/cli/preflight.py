"""`probe preflight ENGINE`: may this server install it and serve with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import Session, session_of
from probe.cli.values import choice, place
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE, InputError, ProbeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from probe.catalog.model_spec import ModelSpec
    from probe.cli.output import Answer, Wanted
    from probe.machine import Machine
    from probe.recommender.preflight.situation import Ask
    from probe.render.page import Page
    from probe.report.documents_preflight import PreflightSetDocument

_BUILDS: Final = ("cpu", "rocm", "xpu")
_CACHE_TYPES: Final = ("auto", "fp8", "f16", "q8_0")
_MATRIX_ENGINE: Final = "vllm"

Engine = Annotated[str, typer.Argument(metavar="ENGINE", help="cli.argument.engine")]
Model = Annotated[str | None, typer.Option("--model", metavar="M", help="cli.option.preflight_model")]
Target = Annotated[
    str | None, typer.Option("--target-version", metavar="V", help="cli.option.target_version")
]
Build = Annotated[
    str | None,
    typer.Option(
        "--build", metavar="cpu|rocm|xpu", parser=choice("--build", _BUILDS), help="cli.option.build"
    ),
]
KvType = Annotated[
    str | None,
    typer.Option(
        "--kv-type",
        metavar="auto|fp8",
        parser=choice("--kv-type", _CACHE_TYPES),
        help="cli.option.kv_type_vllm",
    ),
]
Matrix = Annotated[bool, typer.Option("--matrix", help="cli.option.matrix")]
Machines = Annotated[
    Path | None,
    typer.Option("--machines", metavar="DIR", parser=place("--machines"), help="cli.option.machines"),
]


def preflight(
    ctx: typer.Context,
    engine: Engine,
    *,
    model: Model = None,
    target_version: Target = None,
    build: Build = None,
    matrix: Matrix = False,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    machines: Machines = None,
    context: options.Context = options.DEFAULT_CONTEXT,
    parallel: options.Parallel = 1,
    quantization: options.Quantization = None,
    kv_type: KvType = None,
    online: options.Online = False,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    alias: options.Alias = None,
    no_host_name: options.NoHostName = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print what stands against installing; exit 1 when it is not ready or cannot be told."""
    from probe.cli.output import Wanted
    from probe.recommender.preflight.situation import Ask

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    if matrix:
        return _print_matrix(engine, wanted, session)
    ask = Ask(
        engine=engine,
        target_version=target_version,
        build=build,
        model=_model(model, online=online),
        quantization=quantization,
        context=context,
        parallel=parallel,
        kv_type=kv_type,
    )
    if machines is not None:
        if machine is not None or spec is not None:
            raise InputError("cli.usage.two_machines")
        return _judge_folder(machines, ask, wanted, session)
    return _judge_one(machine, spec, ask, wanted, session, alias=alias, show_host_name=not no_host_name)


def _model(name: str | None, *, online: bool) -> "ModelSpec | None":
    if name is None:
        return None
    from probe.api.models import model_of

    return model_of(name, online=online)


def _print_matrix(engine: str, wanted: "Wanted", session: Session) -> int:
    from probe.catalog.engines import find_engine
    from probe.cli.output import print_answer
    from probe.report.preflight import build_matrix

    if find_engine(engine).id != _MATRIX_ENGINE:
        raise InputError("cli.usage.matrix_only_vllm", engine=engine)
    document = build_matrix()

    def page_in(lang: str) -> "Page":
        from probe.render.preflight_page import matrix_page

        return matrix_page(document, lang)

    print_answer(_answer(document, page_in, "matrix", session), wanted, session)
    return EXIT_DONE


def _judge_one(
    machine: Path | None,
    spec: str | None,
    ask: "Ask",
    wanted: "Wanted",
    session: Session,
    *,
    alias: str | None,
    show_host_name: bool,
) -> int:
    from probe.cli.machine_source import machine_of
    from probe.cli.output import print_answer
    from probe.machine.redact import redact
    from probe.report.preflight import READY, build_preflight

    found = machine_of(machine, spec, session=session)
    facts = None
    if machine is None and spec is None:
        from probe.catalog.engines import find_engine
        from probe.collectors.local_host import LocalHost
        from probe.collectors.server import collect_server

        facts = collect_server(LocalHost(), port=find_engine(ask.engine).default_port or 8000)
    name = redact(found, alias=alias, show_host_name=show_host_name).host.name
    document = build_preflight(found, ask, lang=session.lang, server=facts, name=name)

    def page_in(lang: str) -> "Page":
        from probe.render.preflight_page import preflight_page

        if lang == session.lang:
            return preflight_page(document, lang)
        return preflight_page(build_preflight(found, ask, lang=lang, server=facts, name=name), lang)

    answer = _answer(document, page_in, name, session)._replace(topic=f"preflight-{document.engine}")
    print_answer(answer, wanted, session)
    return EXIT_DONE if document.verdict in READY else EXIT_ANSWER_IS_NO


def _judge_folder(folder: Path, ask: "Ask", wanted: "Wanted", session: Session) -> int:
    """Every JSON file of a folder; one that is no machine is named and does not stop the others."""
    from probe.api.failures import error_text
    from probe.catalog.enrich import enrich
    from probe.cli.output import print_answer
    from probe.report.preflight import READY, build_preflight_set
    from probe.report.read import read_machine

    if not folder.is_dir():
        raise InputError("cli.usage.no_machines_folder", path=str(folder))
    found: list[Machine] = []
    unreadable: dict[str, ProbeError] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(enrich(read_machine(path)))
        except ProbeError as error:
            unreadable[path.name] = error

    def document_in(lang: str) -> "PreflightSetDocument":
        refused = {name: error_text(error, lang) for name, error in unreadable.items()}
        return build_preflight_set(found, refused, ask, lang=lang)

    document = document_in(session.lang)

    def page_in(lang: str) -> "Page":
        from probe.render.preflight_page import set_page

        return set_page(document if lang == session.lang else document_in(lang), lang)

    print_answer(_answer(document, page_in, "preflight", session), wanted, session)
    ready = document.across is not None or any(one.verdict in READY for one in document.machines)
    return EXIT_DONE if ready else EXIT_ANSWER_IS_NO


def _answer(
    document: object, page_in: "Callable[[str], Page]", name: str | None, session: Session
) -> "Answer":
    """The answer in every format; HTML holds the page in both languages."""
    from probe.cli.output import Answer

    def html() -> str:
        from probe.render.html import plain_html

        return plain_html(page_in, session.lang)

    return Answer(document=document, page=lambda: page_in(session.lang), html=html, name=name)


app = single_command("preflight", preflight)
