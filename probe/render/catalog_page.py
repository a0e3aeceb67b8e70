"""Pages of the catalog: all names, and whether the rows are sound."""

from probe.messages import t
from probe.render.figures import params_pair, unknown
from probe.render.languages import korean_word, other_languages
from probe.render.page import Block, Cell, Column, Facts, Item, Items, Page, Section, Table
from probe.report.catalog_check import CatalogCheckDocument
from probe.report.catalog_documents import CatalogDocument

_LICENSE_LETTERS = 24


def catalog_page(catalog: CatalogDocument, lang: str) -> Page:
    """Every model, device and engine."""
    return Page(
        title=t("cli.catalog.title_list", lang),
        sections=(
            _section("models", len(catalog.models), lang, _models_table(catalog, lang)),
            _section("devices", len(catalog.devices), lang, _devices_table(catalog, lang)),
            _section(
                "engines",
                len(catalog.engines),
                lang,
                Facts(rows=tuple((engine.id, Cell(engine.name)) for engine in catalog.engines)),
            ),
        ),
    )


def _section(name: str, count: int, lang: str, block: Block) -> Section:
    return Section(title=t(f"cli.catalog.section_{name}", lang, count=count), blocks=(block,))


def _models_table(catalog: CatalogDocument, lang: str) -> Table:
    columns = (
        Column(t("cli.catalog.column_alias", lang)),
        Column(t("cli.catalog.column_params", lang)),
        Column(t("cli.catalog.column_context", lang), right=True, from_width=75),
        Column(t("cli.catalog.column_license", lang), from_width=100),
        Column(t("catalog_fields.language.korean", lang), from_width=75),
        Column(t("catalog_fields.language.others", lang), from_width=140, wraps=True),
    )
    rows = tuple(
        (
            Cell(model.alias or model.id),
            Cell(params_pair(model.params_total, model.params_active, lang)),
            Cell(unknown(lang) if model.max_context is None else f"{model.max_context:,}"),
            Cell((model.license or unknown(lang))[:_LICENSE_LETTERS]),
            Cell(korean_word(model.languages, model.korean, lang)),
            Cell(other_languages(model.languages, lang) or ""),
        )
        for model in catalog.models
    )
    return Table(columns=columns, rows=rows)


def _devices_table(catalog: CatalogDocument, lang: str) -> Table:
    columns = (
        Column(t("page.column.device", lang), wraps=True),
        Column(t("cli.catalog.column_vendor", lang)),
        Column(t("page.column.kind", lang)),
    )
    rows = tuple((Cell(row.name), Cell(row.vendor), Cell(row.kind)) for row in catalog.devices)
    return Table(columns=columns, rows=rows)


def check_page(check: CatalogCheckDocument, lang: str) -> Page:
    """Counted rows, and every problem."""
    counts = t(
        "cli.catalog.valid",
        lang,
        models=check.models,
        devices=check.devices,
        engines=check.engines,
        quantizations=check.quantizations,
    )
    if not check.problems:
        return Page(title=t("cli.catalog.title_validate", lang), headline=counts)
    items = Items(items=tuple(Item(text=problem.text) for problem in check.problems))
    errors = Section(title=t("cli.catalog.section_errors", lang), blocks=(items,))
    headline = t("cli.catalog.invalid", lang, count=len(check.problems))
    return Page(title=t("cli.catalog.title_validate", lang), headline=headline, sections=(errors,))
