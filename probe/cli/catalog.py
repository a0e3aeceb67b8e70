"""`probe catalog`: what this program knows, and whether it is sound."""

from typing import Annotated

import typer

from probe.api.models import own_models_folder, use_own_models
from probe.cli import options
from probe.cli.plain_help import HELP_NAMES, LazyGroup, PlainCommand
from probe.cli.session import session_of
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE

Path = Annotated[str, typer.Argument(metavar="PATH", help="cli.argument.path")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="cli.argument.name")]

app = typer.Typer(
    cls=LazyGroup,
    name="catalog",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
)


@app.callback(help="cli.command.catalog", epilog="cli.example.catalog")
def catalog(ctx: typer.Context, *, lang: options.Lang = None) -> int:
    """Without one of its commands: the help."""
    if ctx.invoked_subcommand is None:
        from probe.cli.console import print_text

        print_text(f"{ctx.get_help()}\n")
    return EXIT_DONE


@app.command(
    "list",
    cls=PlainCommand,
    help="cli.command.catalog_list",
    epilog="cli.example.catalog_list",
    context_settings=HELP_NAMES,
)
def list_rows(
    ctx: typer.Context,
    *,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    quiet: options.Quiet = False,
) -> int:
    """Print every model, device and engine."""
    from probe.cli.output import Answer, Wanted, print_answer
    from probe.report.catalog_documents import catalog_document

    session = session_of(ctx)
    use_own_models()
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    document = catalog_document()

    def page() -> object:
        from probe.render.catalog_page import catalog_page

        return catalog_page(document, session.lang)

    def html() -> str:
        from probe.render.catalog_page import catalog_page
        from probe.render.html import plain_html

        return plain_html(lambda one: catalog_page(document, one), session.lang)

    def csv() -> str:
        from probe.render.csv import catalog_csv

        return catalog_csv(document)

    print_answer(Answer(document=document, page=page, html=html, csv=csv, name="catalog"), wanted, session)
    return EXIT_DONE


@app.command(
    "show",
    cls=PlainCommand,
    help="cli.command.catalog_show",
    epilog="cli.example.catalog_show",
    context_settings=HELP_NAMES,
)
def show(
    ctx: typer.Context,
    name: Name,
    *,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    quiet: options.Quiet = False,
) -> int:
    """Print one row with its sources."""
    from probe.cli.output import Answer, Wanted, print_answer
    from probe.report.catalog_entry import catalog_entry

    session = session_of(ctx)
    use_own_models()
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    document = catalog_entry(name)

    def page() -> object:
        from probe.render.catalog_entry_page import entry_page

        return entry_page(document, session.lang)

    def html() -> str:
        from probe.render.catalog_entry_page import entry_page
        from probe.render.html import plain_html

        return plain_html(lambda one: entry_page(document, one), session.lang)

    print_answer(Answer(document=document, page=page, html=html, name="catalog-entry"), wanted, session)
    return EXIT_DONE


@app.command(
    "validate",
    cls=PlainCommand,
    help="cli.command.catalog_validate",
    epilog="cli.example.catalog_validate",
    context_settings=HELP_NAMES,
)
def validate(
    ctx: typer.Context,
    *,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    quiet: options.Quiet = False,
) -> int:
    """Check every row; exit 1 when one is wrong."""
    from probe.cli.output import Answer, Wanted, print_answer
    from probe.report.catalog_check import catalog_check

    session = session_of(ctx)
    use_own_models()
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    document = catalog_check(session.lang)

    def page() -> object:
        from probe.render.catalog_page import check_page

        return check_page(document, session.lang)

    def html() -> str:
        from probe.render.catalog_page import check_page
        from probe.render.html import plain_html

        return plain_html(lambda one: check_page(catalog_check(one), one), session.lang)

    print_answer(Answer(document=document, page=page, html=html, name="catalog-check"), wanted, session)
    return EXIT_ANSWER_IS_NO if document.problems else EXIT_DONE


@app.command(
    "add",
    cls=PlainCommand,
    help="cli.command.catalog_add",
    epilog="cli.example.catalog_add",
    context_settings=HELP_NAMES,
)
def add(
    ctx: typer.Context,
    path: Path,
    *,
    online: options.Online = False,
    lang: options.Lang = None,
    quiet: options.Quiet = False,
) -> int:
    """Add the model of a file or folder to the user's own rows; one that does not add up is refused."""
    import msgspec

    from probe.api.models import model_of
    from probe.catalog.overlay import row_of, write_overlay
    from probe.cli.console import say
    from probe.errors import InputError
    from probe.estimate.identity import active_parameters, counted_parameters, discrepancies
    from probe.estimate.not_modeled import NotModeledError
    from probe.messages import t

    session = session_of(ctx)
    model = row_of(model_of(path, online=online))
    folder = own_models_folder()
    if folder is None:
        raise InputError("catalog.no_own_folder")
    if model.dimensions is None:
        raise InputError("catalog.not_addable", model=model.id)
    try:
        if model.params_total is None:
            # A config alone states no count: what its shapes make is the count.
            counted = counted_parameters(model)
            model = msgspec.structs.replace(
                model, params_total=counted, params_text=counted, params_active=active_parameters(model)
            )
        wrong = discrepancies(model)
    except NotModeledError as error:
        raise InputError("catalog.not_addable", model=model.id) from error
    if wrong:
        first = wrong[0]
        raise InputError(first.key, id=model.id, counted=first.counted, stated=first.stated)
    written = write_overlay(folder, model)
    if not quiet:
        say(t("catalog.added", session.lang, model=model.id, path=str(written)))
    return EXIT_DONE
