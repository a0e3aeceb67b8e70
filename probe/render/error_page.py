"""The page of `probe doctor --error`: each recognised error, or the list of those that are known."""

from collections.abc import Sequence

from probe.machine import Machine
from probe.messages import t
from probe.render.findings import finding_items
from probe.render.hardware import deciding_facts, machine_name
from probe.render.page import Item, Items, Page, Paragraph, Section
from probe.report.documents import FindingDocument


def error_page(
    findings: Sequence[FindingDocument], known: Sequence[tuple[str, str]], machine: Machine, lang: str
) -> Page:
    """What the error means here and what to do.

    Args:
        known: engine and code of every error that is recognised, printed when none was.
        machine: redacted.
    """
    title = t("errors.page.title", lang, machine=machine_name(machine, lang))
    if not findings:
        titles = tuple(Item(text=f"{engine}: {t(f'errors.{code}.title', lang)}") for engine, code in known)
        block = (Paragraph(t("errors.page.unknown", lang)), Items(items=titles))
        return Page(title=title, sections=(Section(title=t("errors.page.known_title", lang), blocks=block),))
    sections = (
        Section(title=t("errors.page.cause", lang), blocks=(finding_items(findings, lang),)),
        Section(title=t("page.section.deciding", lang), blocks=(deciding_facts(machine, lang),)),
    )
    return Page(title=title, sections=sections)
