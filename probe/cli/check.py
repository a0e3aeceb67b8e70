"""`probe check MODEL`: will this model run here."""

from typing import Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.cli.values import kv_type_of
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE

Model = Annotated[str, typer.Argument(metavar="MODEL", help="cli.argument.model")]


def check(
    ctx: typer.Context,
    model: Model,
    *,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    context: options.Context = options.DEFAULT_CONTEXT,
    parallel: options.Parallel = 1,
    engine: options.Engine = None,
    quantization: options.Quantization = None,
    kv_type: options.KvTypeOfEngine = None,
    kv_unified: options.KvUnified = False,
    ubatch: options.Ubatch = None,
    flash_attention: options.FlashAttention = None,
    reserve: options.Reserve = 0,
    draft: options.Draft = None,
    with_model: options.With = None,
    explain: options.Explain = False,
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
    """Print whether the model runs; exit 1 when the answer is no or unknown."""
    from probe.api.models import model_of
    from probe.cli.machine_source import machine_of
    from probe.cli.output import Answer, Wanted, print_answer

    kv_type = kv_type_of(engine, kv_type)
    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    model_spec = model_of(model, online=online)
    found = machine_of(machine, spec, session=session)

    from probe.recommender.answer import Verdict
    from probe.recommender.options import Options
    from probe.report.build import build_check

    asked = Options(
        context=context,
        parallel=parallel,
        context_asked=options.is_asked(ctx, "context"),
        parallel_asked=options.is_asked(ctx, "parallel"),
        engine=engine,
        quantization=quantization,
        kv_type=kv_type,
        kv_unified=kv_unified,
        ubatch=ubatch,
        flash_attention=flash_attention,
        reserve_bytes=reserve,
        draft_model=draft,
        draft_spec=model_of(draft) if draft not in (None, "auto", "mtp") else None,
        with_model=with_model,
        with_spec=model_of(with_model) if with_model else None,
        explain=explain,
        alias=alias,
        show_host_name=not no_host_name,
    )
    document = build_check(found, model_spec, asked, lang=session.lang)

    def page() -> object:
        from probe.render.check_page import check_page

        return check_page(document, session.lang, explain=explain)

    def csv() -> str:
        from probe.render.csv import estimates_csv

        return estimates_csv((document, *document.alternatives), document.machine_name)

    def html() -> str:
        from probe.messages import LANGUAGES
        from probe.render.check_page import check_page
        from probe.render.html import render_html
        from probe.report.translate import check_in

        pages = {lang: check_page(check_in(document, lang), lang, explain=True) for lang in LANGUAGES}
        return render_html(pages, session.lang)

    topic = f"check-{document.model.alias or document.model.id}"
    answer = Answer(document=document, page=page, html=html, csv=csv, name=document.machine_name, topic=topic)
    print_answer(answer, wanted, session)
    return EXIT_ANSWER_IS_NO if document.verdict in (Verdict.NO, Verdict.UNKNOWN) else EXIT_DONE


app = single_command("check", check)
