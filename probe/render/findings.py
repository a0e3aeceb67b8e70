"""Findings as list entries: what happened, how we know, what to do next."""

from collections.abc import Sequence

from probe.messages import t
from probe.render.page import Block, Item, Items, Page, Paragraph, Section, Tone
from probe.report.documents import FindingDocument

_TONES = {"critical": Tone.BAD, "warning": Tone.POOR, "notice": Tone.FAIR}


def finding_items(findings: Sequence[FindingDocument], lang: str) -> Block:
    """One entry a finding with its evidence and fix; a sentence where there is none."""
    if not findings:
        return Paragraph(t("page.finding.none", lang))
    return Items(items=tuple(_item(finding, lang) for finding in findings))


def _item(finding: FindingDocument, lang: str) -> Item:
    severity = t(f"page.severity.{finding.severity}", lang)
    lines = (
        finding.detail,
        t("page.finding.evidence", lang, evidence=finding.evidence) if finding.evidence else "",
        t("page.finding.fix", lang, fix=finding.fix) if finding.fix else "",
    )
    return Item(
        text=t("page.finding.title", lang, severity=severity, title=finding.title),
        tone=_TONES.get(finding.severity, Tone.PLAIN),
        lines=tuple(line for line in lines if line),
    )


def doctor_page(findings: Sequence[FindingDocument], machine: str, lang: str) -> Page:
    """The findings alone, for `probe doctor`."""
    title = t("page.section.findings", lang)
    return Page(
        title=t("page.title.doctor", lang, machine=machine),
        sections=(Section(title=title, blocks=(finding_items(findings, lang),)),),
    )
