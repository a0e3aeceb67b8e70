"""Findings as list entries: what happened, how we know, what to do next."""

from collections.abc import Sequence

from probe import __version__
from probe.machine import Machine
from probe.messages import t
from probe.render.figures import joined
from probe.render.hardware import accelerators_table, deciding_facts, machine_name, software_facts
from probe.render.page import Block, Item, Items, Page, Paragraph, Section, Tone
from probe.render.working import attempts_blocks
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
        t("findings.effect.line", lang, effect=finding.effect) if finding.effect else "",
    )
    return Item(
        text=t("page.finding.title", lang, severity=severity, title=finding.title),
        tone=_TONES.get(finding.severity, Tone.PLAIN),
        lines=tuple(line for line in lines if line),
    )


def doctor_page(findings: Sequence[FindingDocument], machine: Machine, lang: str) -> Page:
    """The findings, and below them what someone who answers a bug report asks for first.

    Args:
        machine: redacted, without the host's name: the page is made to be pasted in public.
    """
    sections = [
        _section("findings", lang, finding_items(findings, lang)),
        _section("deciding", lang, deciding_facts(machine, lang)),
    ]
    if machine.accelerators:
        sections.append(_section("accelerators", lang, accelerators_table(machine, lang)))
    software = software_facts(machine, lang)
    if software.rows:
        sections.append(_section("software", lang, software))
    asked = attempts_blocks(machine.attempts, lang)
    if asked:
        sections.append(_section("attempts", lang, *asked))
    sections.append(_section("versions", lang, _versions(machine, lang)))
    return Page(
        title=t("page.title.doctor", lang, machine=machine_name(machine, lang)), sections=tuple(sections)
    )


def _section(title: str, lang: str, *blocks: Block) -> Section:
    topic = "findings" if title == "versions" else "page.section"
    return Section(title=t(f"{topic}.{title}", lang), blocks=blocks)


def _versions(machine: Machine, lang: str) -> Block:
    """This tool, the Python it runs on, and the system, on one line."""
    system = machine.host.os
    parts = (
        f"probe {__version__}",
        f"Python {machine.host.python}" if machine.host.python else None,
        " ".join(part for part in (system.name, system.version) if part) or None,
        system.kernel,
        f"WSL {system.wsl}" if system.wsl else None,
        system.container,
    )
    return Paragraph(joined(parts))
