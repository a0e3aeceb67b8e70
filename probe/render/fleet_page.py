"""The group's page: how many run which size, each machine and its way to the next wish, servers, problems."""

from collections.abc import Sequence

from probe.messages import t
from probe.recommender.answer import Verdict
from probe.render.figures import gib, tokens_per_s_ends, tokens_per_s_middle, verdict_cell, verdict_word
from probe.render.fleet_words import (
    age_words,
    hardware_words,
    names_words,
    short_name,
    trend_words,
    wish_words,
)
from probe.render.page import Block, Cell, Column, Facts, Item, Items, Page, Paragraph, Section, Table, Tone
from probe.report.fleet_documents import STALE_AFTER_DAYS, FleetDocument, FleetMachine, LadderRow

_MACHINES_SHOWN = 30
_ROWS_SHOWN = 15
_VERDICTS = (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW, Verdict.NO, Verdict.UNKNOWN)


def fleet_page(document: FleetDocument, lang: str, *, machines_shown: int = _MACHINES_SHOWN) -> Page:
    """The whole page for one folder."""
    change = document.what_if.change if document.what_if else None
    title = (
        t("fleet.title.what_if", lang, folder=document.folder, change=change)
        if change
        else t("fleet.title.page", lang, folder=document.folder)
    )
    sections = [
        *_asked(document, lang),
        *_what_if(document, lang),
        _section("ladder", lang, _ladder(document.ladder, lang)),
        *_servers(document, lang),
        _section("members", lang, *_members(document.machines, lang, machines_shown)),
        *_groups(document, lang),
        *_findings(document, lang),
        *_changed(document, lang),
        *_stale(document, lang),
        _section("totals", lang, _totals(document, lang)),
        *_unreadable(document, lang),
    ]
    return Page(
        title=title,
        headline=_headline(document, lang),
        notices=_notices(document, lang),
        sections=tuple(sections),
    )


def _section(name: str, lang: str, *blocks: Block, **values: str | int | None) -> Section:
    return Section(title=t(f"fleet.section.{name}", lang, **values), blocks=blocks, id=name)


def _headline(document: FleetDocument, lang: str) -> str:
    machines = document.totals.machines
    for row in document.ladder:
        # 8B is the size that a person first calls useful; else the smallest that anybody runs.
        if row.size_class == "8B" and row.counts["comfortable"] + row.counts["usable"]:
            return _reach(row, machines, lang)
    best = next((row for row in document.ladder if row.counts["comfortable"] + row.counts["usable"]), None)
    return _reach(best, machines, lang) if best else t("fleet.title.headline_none", lang, machines=machines)


def _reach(row: LadderRow, machines: int, lang: str) -> str:
    counts = row.counts
    return t(
        "fleet.title.headline",
        lang,
        machines=machines,
        size=row.size_class,
        comfortable=counts["comfortable"],
        usable=counts["usable"],
    )


def _notices(document: FleetDocument, lang: str) -> tuple[Paragraph, ...]:
    totals = document.totals
    without = sum(not machine.has_models for machine in document.machines)
    notices = []
    if totals.stale:
        notices.append(t("fleet.notice.stale", lang, count=totals.stale, days=STALE_AFTER_DAYS))
    if totals.unreadable:
        notices.append(t("fleet.notice.unreadable", lang, count=totals.unreadable))
    if without:
        notices.append(t("fleet.notice.hardware_only", lang, count=without))
    return tuple(Paragraph(text, Tone.POOR) for text in notices)


def _more(count: int, lang: str) -> tuple[Block, ...]:
    return (Paragraph(t("fleet.word.more", lang, count=count), Tone.FAINT),) if count > 0 else ()


def _asked(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    asked = document.asked
    if asked is None:
        return ()
    good = sum(one.verdict in ("comfortable", "usable") for one in asked.machines)
    key = "fleet.word.somebody" if good else "fleet.word.nobody"
    blocks: list[Block] = [Paragraph(t(key, lang, model=asked.name, count=good), Tone.STRONG)]
    if asked.servers:
        blocks.append(
            Items(
                items=tuple(
                    Item(
                        text=t("fleet.word.server_at", lang, host=one.host, address=one.address)
                        if one.address
                        else t(
                            "fleet.word.server", lang, host=one.host, hint=t("fleet.word.no_address", lang)
                        )
                    )
                    for one in asked.servers[:_ROWS_SHOWN]
                )
            )
        )
    if asked.machines:
        shown = asked.machines[:_MACHINES_SHOWN]
        blocks.append(
            Table(
                columns=(_column("host", lang), _column("verdict", lang), _column("speed", lang, right=True)),
                rows=tuple(
                    (
                        Cell(one.host, Tone.STRONG),
                        verdict_cell(Verdict(one.verdict), lang),
                        Cell(tokens_per_s_ends(one.decode_tokens_per_s, lang)),
                    )
                    for one in shown
                ),
            )
        )
        blocks += _more(len(asked.machines) - len(shown), lang)
    return (_section("asked", lang, *blocks, model=asked.name),)


def _what_if(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    found = document.what_if
    if found is None:
        return ()
    before = {row.size_class: row.counts for row in found.ladder_before}
    rows = tuple(
        (
            Cell(row.size_class, Tone.STRONG),
            Cell(_both(before[row.size_class])),
            Cell(_both(row.counts)),
            Cell(
                f"{found.raised.get(row.size_class, 0):,}",
                Tone.GOOD if found.raised.get(row.size_class) else Tone.FAINT,
            ),
        )
        for row in document.ladder
    )
    columns = (
        _column("size", lang),
        Column(f"{t('fleet.column.before', lang)}: {_legend(lang)}", right=True),
        Column(f"{t('fleet.column.after', lang)}: {_legend(lang)}", right=True),
        _column("raised", lang, right=True),
    )
    sentence = t("fleet.word.changed_hosts", lang, count=len(found.hosts), machines=document.totals.machines)
    return (
        _section(
            "what_if", lang, Paragraph(sentence), Table(columns=columns, rows=rows), change=found.change
        ),
    )


def _legend(lang: str) -> str:
    return f"{verdict_word(Verdict.COMFORTABLE, lang)} / {verdict_word(Verdict.USABLE, lang)}"


def _both(counts: dict[str, int]) -> str:
    return f"{counts['comfortable']:,} / {counts['usable']:,}"


def _column(name: str, lang: str, *, right: bool = False, wraps: bool = False, from_width: int = 0) -> Column:
    return Column(t(f"fleet.column.{name}", lang), right=right, wraps=wraps, from_width=from_width)


def _ladder(rows: Sequence[LadderRow], lang: str) -> Table:
    return Table(
        columns=(
            _column("size", lang),
            *(Column(verdict_word(verdict, lang), right=True) for verdict in _VERDICTS),
            _column("model", lang, from_width=90),
        ),
        rows=tuple(
            (
                Cell(row.size_class, Tone.STRONG),
                *(
                    Cell(
                        f"{row.counts[verdict.value]:,}" if row.counts[verdict.value] else "-",
                        _tone(row, verdict),
                    )
                    for verdict in _VERDICTS
                ),
                Cell(short_name(row.model), Tone.FAINT),
            )
            for row in rows
        ),
    )


def _tone(row: LadderRow, verdict: Verdict) -> Tone:
    if not row.counts[verdict.value]:
        return Tone.FAINT
    return {Verdict.COMFORTABLE: Tone.GOOD, Verdict.USABLE: Tone.FAIR, Verdict.SLOW: Tone.POOR}.get(
        verdict, Tone.PLAIN
    )


def _servers(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    if not document.servers:
        return ()
    shown = document.servers[:_ROWS_SHOWN]
    rows = tuple(
        (
            Cell(one.host, Tone.STRONG),
            Cell(one.address or t("fleet.word.no_address", lang), Tone.PLAIN if one.address else Tone.FAINT),
            Cell(", ".join(map(short_name, one.serves)) or (one.largest or "-")),
            Cell(f"{one.members:,}"),
        )
        for one in shown
    )
    columns = (
        _column("host", lang),
        _column("address", lang),
        _column("serves", lang, wraps=True),
        _column("members", lang, right=True),
    )
    return (
        _section(
            "servers",
            lang,
            Table(columns=columns, rows=rows),
            *_more(len(document.servers) - len(shown), lang),
        ),
    )


def _members(machines: Sequence[FleetMachine], lang: str, limit: int) -> tuple[Block, ...]:
    shown = machines[:limit]
    rows = tuple(
        (
            Cell(machine.host, Tone.STRONG),
            Cell(hardware_words(machine, lang)),
            _largest_cell(machine, lang),
            Cell(
                tokens_per_s_middle(machine.largest_comfortable.decode_tokens_per_s, lang)
                if machine.largest_comfortable
                else "-"
            ),
            Cell(wish_words(machine.wish, lang)),
            Cell(age_words(machine, lang), Tone.POOR if machine.stale else Tone.FAINT),
        )
        for machine in shown
    )
    columns = (
        _column("host", lang),
        _column("hardware", lang, wraps=True),
        _column("largest", lang, wraps=True),
        _column("speed", lang, right=True, from_width=90),
        _column("wish", lang, wraps=True, from_width=70),
        _column("age", lang, from_width=100),
    )
    return (Table(columns=columns, rows=rows), *_more(len(machines) - len(shown), lang))


def _largest_cell(machine: FleetMachine, lang: str) -> Cell:
    if not machine.has_models:
        return Cell(t("fleet.word.hardware_only", lang), Tone.FAINT)
    if machine.largest_comfortable is not None:
        return Cell(machine.largest_comfortable.name, Tone.GOOD)
    if machine.largest_usable is not None:
        return Cell(t("fleet.word.none_largest", lang, name=machine.largest_usable.name), Tone.FAIR)
    return Cell(t("fleet.word.none", lang), Tone.POOR)


def _groups(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    if not document.groups:
        return ()
    items = tuple(
        Item(
            text=hardware_words(group, lang),
            lines=(
                t("fleet.word.hosts", lang, count=len(group.hosts), names=names_words(group.hosts, lang)),
            ),
        )
        for group in document.groups[:_ROWS_SHOWN]
    )
    return (_section("groups", lang, Items(items=items)),)


def _findings(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    if not document.findings:
        return ()
    items = tuple(
        Item(
            text=one.title,
            tone=Tone.POOR if one.severity in ("critical", "warning") else Tone.PLAIN,
            lines=(t("fleet.word.hosts", lang, count=len(one.hosts), names=names_words(one.hosts, lang)),),
        )
        for one in document.findings[:_ROWS_SHOWN]
    )
    return (_section("findings", lang, Items(items=items)),)


def _changed(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    lines = [line for machine in document.machines if machine.past for line in trend_words(machine, lang)]
    if not lines:
        return ()
    items = Items(items=tuple(Item(text=line) for line in lines[:_ROWS_SHOWN]))
    return (_section("changed", lang, items),)


def _stale(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    old = sorted((one for one in document.machines if one.stale), key=lambda one: -one.age_days)
    if not old:
        return ()
    items = tuple(Item(text=f"{one.host}: {age_words(one, lang)}") for one in old[:_ROWS_SHOWN])
    return (_section("stale", lang, Items(items=items)),)


def _totals(document: FleetDocument, lang: str) -> Facts:
    totals = document.totals
    rows = (
        ("machines", f"{totals.machines:,}"),
        ("gpus", t("fleet.totals.gpu_value", lang, gpus=totals.gpus, machines=totals.with_gpu)),
        ("gpu_memory", gib(totals.gpu_memory_bytes, lang)),
        ("ram", gib(totals.ram_bytes, lang)),
        ("servers", f"{totals.servers:,}"),
        ("reports", f"{totals.files:,}"),
        ("past", f"{totals.past_reports:,}"),
    )
    return Facts(rows=tuple((t(f"fleet.totals.{name}", lang), Cell(value)) for name, value in rows))


def _unreadable(document: FleetDocument, lang: str) -> tuple[Section, ...]:
    if not document.unreadable:
        return ()
    shown = document.unreadable[:_MACHINES_SHOWN]
    items = tuple(Item(text=one.path, lines=(one.reason,)) for one in shown)
    return (
        _section("unreadable", lang, Items(items=items), *_more(len(document.unreadable) - len(shown), lang)),
    )
