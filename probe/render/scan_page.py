"""The page of the hardware alone."""

from probe.machine import Machine
from probe.messages import t
from probe.render.hardware import (
    accelerators_table,
    deciding_facts,
    disks_table,
    links_table,
    machine_name,
    software_facts,
)
from probe.render.page import Block, Page, Section
from probe.render.working import attempts_blocks, attempts_table


def scan_page(machine: Machine, lang: str, *, verbose: bool = False) -> Page:
    """What was found; `verbose` lists every source that was asked."""
    sections = [_section("deciding", lang, deciding_facts(machine, lang))]
    if machine.accelerators:
        sections.append(_section("accelerators", lang, accelerators_table(machine, lang)))
    if machine.links:
        sections.append(_section("links", lang, links_table(machine, lang)))
    disks = disks_table(machine, lang)
    if disks.rows:
        sections.append(_section("disks", lang, disks))
    software = software_facts(machine, lang)
    if software.rows:
        sections.append(_section("software", lang, software))
    asked: list[Block] = (
        [attempts_table(machine.attempts, lang)] if verbose else attempts_blocks(machine.attempts, lang)
    )
    if machine.attempts and asked:
        sections.append(_section("attempts", lang, *asked))
    return Page(
        title=t("page.title.scan", lang, machine=machine_name(machine, lang)),
        headline=t("page.title.scan", lang, machine=machine_name(machine, lang)),
        sections=tuple(sections),
    )


def _section(title: str, lang: str, *blocks: Block) -> Section:
    return Section(title=t(f"page.section.{title}", lang), blocks=blocks)
