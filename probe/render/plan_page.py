"""The pages of `probe plan`: hardware for a model, and what one change here would bring."""

from probe.messages import t
from probe.render.figures import gib, tokens_per_s_ends, verdict_cell
from probe.render.page import Block, Cell, Column, Item, Items, Page, Section, Table
from probe.report.plan_documents import PlanDocument, UpgradeDocument


def plan_page(document: PlanDocument, lang: str) -> Page:
    """Of each kind of hardware the smallest that runs the model, and why not the one before."""
    name = document.model.name
    title = t("plan.title.plan", lang, model=name)
    if not document.options:
        return Page(title=title, headline=t("plan.title.nothing", lang, model=name))
    headline = t(
        "plan.title.headline",
        lang,
        model=name,
        quantization=document.options[0].quantization,
        context=document.context,
        parallel=document.parallel,
    )
    columns = tuple(
        Column(
            t(f"plan.column.{column}", lang), right=column in ("memory", "speed"), wraps=column == "machine"
        )
        for column in ("group", "machine", "verdict", "memory", "speed")
    )
    rows = tuple(
        (
            Cell(t(f"plan.group.{option.group}", lang)),
            Cell(option.machine),
            verdict_cell(option.verdict, lang),
            Cell(gib(option.memory.total_bytes, lang)),
            Cell(tokens_per_s_ends(option.speed.decode_tokens_per_s, lang)),
        )
        for option in document.options
    )
    smaller = tuple(
        Item(text=option.smaller_machine, lines=option.why_not_smaller)
        for option in document.options
        if option.smaller_machine is not None and option.why_not_smaller
    )
    sections = [_section("options", lang, Table(columns=columns, rows=rows))]
    if smaller:
        sections.append(_section("smaller", lang, Items(items=smaller)))
    return Page(title=title, headline=headline, sections=tuple(sections))


def upgrade_page(document: UpgradeDocument, lang: str) -> Page:
    """Each change with the size class it helps most, before and after."""
    title = t("plan.title.upgrade", lang)
    if not document.changes:
        return Page(title=title, headline=t("plan.title.no_upgrade", lang))
    items = tuple(
        Item(
            text=change.text,
            lines=tuple(
                f"{before} → {after}" for before, after in zip(change.before, change.after, strict=True)
            ),
        )
        for change in document.changes
    )
    return Page(
        title=title, headline=title, sections=(_section("changes", lang, Items(items=items, numbered=True)),)
    )


def _section(name: str, lang: str, *blocks: Block) -> Section:
    return Section(title=t(f"plan.section.{name}", lang), blocks=blocks)
