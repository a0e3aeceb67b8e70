"""Pages of the catalog: all names, one row with its sources, and whether the rows are sound."""

from typing import Any

import msgspec

from probe.messages import t
from probe.render.figures import params_pair, unknown
from probe.render.page import Block, Cell, Column, Facts, Item, Items, Page, Section, Table
from probe.report.catalog_check import CatalogCheckDocument
from probe.report.catalog_documents import CatalogDocument, CatalogEntryDocument

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
        Column(t("cli.catalog.column_languages", lang), from_width=115, wraps=True),
    )
    rows = tuple(
        (
            Cell(model.alias or model.id),
            Cell(params_pair(model.params_total, model.params_active, lang)),
            Cell(unknown(lang) if model.max_context is None else f"{model.max_context:,}"),
            Cell((model.license or unknown(lang))[:_LICENSE_LETTERS]),
            Cell(" ".join(model.languages)),
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


def entry_page(entry: CatalogEntryDocument, lang: str) -> Page:
    """One row, field by field, as the catalog file spells them."""
    row = entry.model or entry.gpu or entry.cpu or entry.npu
    fields: dict[str, Any] = msgspec.to_builtins(row)
    title = str(fields.get("name", ""))
    blocks = Facts(rows=tuple((name, Cell(_written(value))) for name, value in fields.items()))
    return Page(title=title, sections=(Section(title=str(fields.get("id") or title), blocks=(blocks,)),))


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_written(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_written(inner) for inner in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.15g}" if isinstance(value, float) else str(value)


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
