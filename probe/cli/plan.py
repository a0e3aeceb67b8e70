"""`probe plan MODEL` and `probe plan --upgrade`: which hardware, and which change."""

from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import Session, session_of
from probe.cli.values import positive_number
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE, InputError

if TYPE_CHECKING:
    from probe.catalog.model_spec import ModelSpec
    from probe.cli.output import Answer
    from probe.machine import Machine
    from probe.recommender.options import Options
    from probe.report.plan_documents import PlanDocument

Model = Annotated[str | None, typer.Argument(metavar="MODEL", help="cli.argument.model")]
Upgrade = Annotated[bool, typer.Option("--upgrade", help="cli.option.upgrade")]
Speed = Annotated[
    float | None,
    typer.Option("--speed", metavar="N", parser=positive_number("--speed"), help="cli.option.speed"),
]


def plan(
    ctx: typer.Context,
    model: Model = None,
    *,
    upgrade: Upgrade = False,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    context: options.Context = options.DEFAULT_CONTEXT,
    parallel: options.Parallel = 1,
    engine: options.Engine = None,
    quantization: options.Quantization = None,
    kv_type: options.KvType = None,
    speed: Speed = None,
    reserve: options.Reserve = 0,
    online: options.Online = False,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print the smallest hardware of each kind, or what one change to this machine would bring."""
    from probe.cli.output import Wanted, print_answer
    from probe.recommender.options import Options

    session = session_of(ctx)
    if upgrade == (model is not None):
        raise InputError("cli.usage.plan_needs_one")
    if model is not None and (machine is not None or spec is not None):
        raise InputError("cli.usage.plan_machine_only_for_upgrade")
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    asked = Options(
        context=context,
        parallel=parallel,
        context_asked=options.is_asked(ctx, "context"),
        parallel_asked=options.is_asked(ctx, "parallel"),
        engine=engine,
        quantization=quantization,
        kv_type=kv_type,
        reserve_bytes=reserve,
    )
    if model is None:
        from probe.cli.machine_source import machine_of

        print_answer(_upgrade(machine_of(machine, spec, session=session), asked, session), wanted, session)
        return EXIT_DONE
    from probe.api.models import model_of
    from probe.report.plan_documents import build_plan

    model_spec = model_of(model, online=online)
    document = build_plan(model_spec, asked, lang=session.lang, wanted_tokens_per_s=speed)
    print_answer(_smallest(document, model_spec, asked, speed, session), wanted, session)
    return EXIT_DONE if document.options else EXIT_ANSWER_IS_NO


def _upgrade(found: "Machine", asked: "Options", session: Session) -> "Answer":
    """What each change to the machine would bring."""
    from probe.cli.output import Answer
    from probe.report.plan_documents import build_upgrade

    document = build_upgrade(found, asked, lang=session.lang)

    def page() -> object:
        from probe.render.plan_page import upgrade_page

        return upgrade_page(document, session.lang)

    def html() -> str:
        from probe.messages import LANGUAGES
        from probe.render.html import render_html
        from probe.render.plan_page import upgrade_page

        pages = {one: upgrade_page(build_upgrade(found, asked, lang=one), one) for one in LANGUAGES}
        return render_html(pages, session.lang)

    return Answer(document=document, page=page, html=html, name="upgrade")


def _smallest(
    document: "PlanDocument", model: "ModelSpec", asked: "Options", speed: float | None, session: Session
) -> "Answer":
    """The smallest hardware of each kind that runs the model."""
    from probe.cli.output import Answer
    from probe.report.plan_documents import build_plan

    def page() -> object:
        from probe.render.plan_page import plan_page

        return plan_page(document, session.lang)

    def html() -> str:
        from probe.messages import LANGUAGES
        from probe.render.html import render_html
        from probe.render.plan_page import plan_page

        pages = {
            one: plan_page(build_plan(model, asked, lang=one, wanted_tokens_per_s=speed), one)
            for one in LANGUAGES
        }
        return render_html(pages, session.lang)

    return Answer(document=document, page=page, html=html, name="plan", topic=model.alias or model.id)


app = single_command("plan", plan)
