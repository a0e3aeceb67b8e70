"""The report page: one sentence, what decides, the map, names, recommendations, problems, and the working."""

from collections.abc import Sequence

from probe.catalog.limits import limits
from probe.machine import OsFamily
from probe.messages import has, t
from probe.recommender.answer import Verdict
from probe.render.figures import (
    counted,
    gib,
    joined,
    tokens_per_s,
    verdict_tone,
    verdict_word,
)
from probe.render.findings import finding_items
from probe.render.hardware import deciding_facts, machine_name
from probe.render.page import Block, Cell, Facts, Heading, Item, Items, Page, Paragraph, Section, Tone
from probe.render.tables import (
    companion_text,
    models_by_verdict,
    placement_text,
    size_map_note,
    size_map_table,
)
from probe.render.working import attempts_blocks, attempts_table, estimate_blocks
from probe.report.documents import (
    EngineDocument,
    FindingDocument,
    RecommendationDocument,
    ReportDocument,
    Route,
)

_URGENT = ("critical", "warning")
_PICKS_SHOWN = 5
# The role stands in the entry, the speed among the figures.
_SAID_ELSEWHERE = ("answer.role.", "answer.also.", "answer.why.speed")


def report_page(report: ReportDocument, lang: str, *, verbose: bool = False) -> Page:
    """The whole page for one machine; `verbose` lists every source that was asked."""
    sections = [
        _section("deciding", lang, deciding_facts(report.machine, lang)),
        _section("size_map", lang, *_map_blocks(report, lang)),
        _section("by_verdict", lang, *_names_blocks(report, lang)),
        _section("recommendations", lang, *_recommendation_blocks(report, lang)),
    ]
    if report.summary.routes:
        sections.append(_section("routes", lang, _route_items(report.summary.routes, lang)))
    if report.engines:
        sections.append(_section("engines", lang, _engine_items(report.engines, lang)))
    sections.append(_section("findings", lang, finding_items(report.findings, lang)))
    sections.append(_section("how", lang, *_how_blocks(report, lang, verbose=verbose)))
    return Page(
        title=t("page.title.report", lang, machine=machine_name(report.machine, lang)),
        headline=report.summary.headline,
        notices=_notices(report.findings, lang),
        sections=tuple(sections),
        footer=t(
            "page.footer",
            lang,
            version=report.tool.version,
            catalogs=report.tool.catalogs,
            created_at=report.created_at,
        ),
    )


def _section(title: str, lang: str, *blocks: Block) -> Section:
    return Section(title=t(f"page.section.{title}", lang), blocks=blocks, id=title)


def _notices(findings: Sequence[FindingDocument], lang: str) -> tuple[Paragraph, ...]:
    urgent = [finding for finding in findings if finding.severity in _URGENT]
    if not urgent:
        return ()
    title = urgent[0].title.rstrip(".")
    key = counted("page.notice.findings", len(urgent))
    return (Paragraph(t(key, lang, count=len(urgent), title=title), Tone.POOR),)


def _map_blocks(report: ReportDocument, lang: str) -> list[Block]:
    table = size_map_table(report.size_map, lang)
    examples: dict[str, str] = {}
    for cell in report.size_map:
        examples.setdefault(cell.size_class, cell.example)
    written = ", ".join(f"{size} {example}" for size, example in examples.items())
    note = size_map_note(report.size_map, lang)
    return [
        Paragraph(t("page.map.intro", lang)),
        table,
        *((Paragraph(note, Tone.FAINT),) if note else ()),
        Facts(rows=tuple(_legend(lang))),
        Paragraph(t("page.map.computed_with", lang, examples=written), Tone.FAINT),
    ]


def _legend(lang: str) -> list[tuple[str, Cell]]:
    rules = limits()
    values = {
        Verdict.COMFORTABLE: {
            "decode": rules.comfortable.decode_tokens_per_s_low,
            "first_token_s": rules.comfortable.first_token_s,
        },
        Verdict.USABLE: {
            "decode": rules.usable.decode_tokens_per_s,
            "first_token_s": rules.usable.first_token_s,
        },
        Verdict.SLOW: {"decode": rules.slow.decode_tokens_per_s},
    }
    rows = []
    for verdict in Verdict:
        written = {name: f"{value:g}" for name, value in values.get(verdict, {}).items()}
        meaning = t(f"verdicts.{verdict.value}.meaning", lang, **written)
        rows.append((verdict_word(verdict, lang), Cell(meaning, Tone.FAINT)))
    return rows


def _names_blocks(report: ReportDocument, lang: str) -> list[Block]:
    context = f"{report.models[0].context:,}" if report.models else "8,192"
    return [
        Paragraph(t("page.models.explained", lang, context=context), Tone.FAINT),
        models_by_verdict(report.models, lang),
    ]


def _purpose_word(purpose: str, lang: str) -> str:
    key = f"page.purpose.{purpose}"
    return t(key, lang) if has(key, lang) else purpose


def _recommendation_blocks(report: ReportDocument, lang: str) -> list[Block]:
    recommendations = report.recommendations
    if not recommendations:
        return [Paragraph(t("page.recommendation.none", lang)), *_next_blocks(report, lang)]
    blocks: list[Block] = []
    if report.companion is not None:
        blocks.append(Paragraph(companion_text(report.companion, lang)))
    if not report.purposes:
        items = tuple(_role_pick(one, report, lang) for one in recommendations)
        return [*blocks, Items(items=items, numbered=True), *_next_blocks(report, lang)]
    by_purpose: dict[str, list[RecommendationDocument]] = {}
    for recommendation in recommendations:
        by_purpose.setdefault(recommendation.purpose, []).append(recommendation)
    for purpose, chosen in by_purpose.items():
        items = (
            _first_pick(chosen[0], report, lang),
            *(_next_pick(one, lang) for one in chosen[1:_PICKS_SHOWN]),
        )
        blocks.append(Heading(_purpose_word(purpose, lang)))
        blocks.append(Items(items=items, numbered=True))
    return [*blocks, *_next_blocks(report, lang)]


def _next_blocks(report: ReportDocument, lang: str) -> list[Block]:
    """What to try beyond the recommended models."""
    steps = report.summary.next_step
    if not steps:
        return []
    items = tuple(Item(text=step) for step in steps)
    return [Heading(t("page.recommendation.next", lang)), Items(items=items)]


def _figures(one: RecommendationDocument, lang: str) -> str:
    return t(
        "page.recommendation.figures",
        lang,
        verdict=verdict_word(one.verdict, lang),
        speed=tokens_per_s(one.speed.decode_tokens_per_s, lang),
        memory=gib(one.memory.total_bytes, lang),
    )


def _name(one: RecommendationDocument, lang: str) -> str:
    return joined((one.model.name, one.quantization, placement_text(one.placement, lang)), " · ")


def _role_word(role: str, lang: str) -> str:
    key = f"page.role.{role}"
    return t(key, lang) if has(key, lang) else role


def _role_pick(one: RecommendationDocument, report: ReportDocument, lang: str) -> Item:
    """One model of the short answer: what it is best at, figures, why, and how to start it."""
    roles = " · ".join(_role_word(role, lang) for role in (one.role, *one.also))
    entry = t("page.recommendation.role", lang, role=roles, model=_name(one, lang))
    return _pick_item(entry, one, report, lang)


def _first_pick(one: RecommendationDocument, report: ReportDocument, lang: str) -> Item:
    """The best for a purpose in full: figures, why, and the command that starts it."""
    return _pick_item(_name(one, lang), one, report, lang)


def _pick_item(text: str, one: RecommendationDocument, report: ReportDocument, lang: str) -> Item:
    shown = [code for code in one.why_codes if not code.code.startswith(_SAID_ELSEWHERE)]
    why = " ".join(t(code.code, lang, **code.values) for code in shown) if shown else one.why
    # Office PCs and Macs: Ollama is the shorter way; servers: llama.cpp.
    desktop = report.machine.host.os.family in {OsFamily.WINDOWS, OsFamily.MACOS}
    first = one.commands.get("ollama") if desktop else None
    return Item(
        text=text,
        tone=verdict_tone(one.verdict),
        lines=tuple(line for line in (_figures(one, lang), why) if line),
        command=first or one.command,
        commands=tuple(one.commands.values()),
    )


def _next_pick(one: RecommendationDocument, lang: str) -> Item:
    """The next ones on a line each; `probe check` and the JSON say the rest."""
    return Item(text=joined((one.model.name, one.quantization, _figures(one, lang)), " · "))


def _route_items(routes: Sequence[Route], lang: str) -> Items:
    items = []
    for route in routes:
        verdict = _verdict_of(route.verdict)
        text = t("page.route.entry", lang, verdict=verdict_word(verdict, lang), text=route.text)
        lines = (route.address,) if route.address else ()
        tone = Tone.PLAIN if verdict is Verdict.UNKNOWN else verdict_tone(verdict)
        items.append(Item(text=text, tone=tone, lines=lines))
    return Items(items=tuple(items))


def _verdict_of(value: str) -> Verdict:
    return next((verdict for verdict in Verdict if verdict.value == value), Verdict.UNKNOWN)


def _engine_items(engines: Sequence[EngineDocument], lang: str) -> Items:
    tones = {"ok": Tone.GOOD, "limited": Tone.POOR, "no": Tone.BAD}
    return Items(
        items=tuple(
            Item(
                text=_engine_text(engine, lang),
                tone=tones.get(engine.verdict, Tone.PLAIN),
            )
            for engine in engines
        )
    )


def _engine_text(engine: EngineDocument, lang: str) -> str:
    verdict = t(f"page.engine.{engine.verdict}", lang)
    return t(
        "page.engine.entry", lang, engine=engine.engine, verdict=verdict, reasons=" ".join(engine.reasons)
    )


def _how_blocks(report: ReportDocument, lang: str, *, verbose: bool) -> list[Block]:
    blocks: list[Block] = [Paragraph(t("page.how.estimate", lang))]
    top = report.recommendations[0] if report.recommendations else report.summary.largest_usable
    if top is not None:
        text = t("page.how.top_pick", lang, model=top.model.name, quantization=top.quantization)
        blocks.append(Heading(text))
        blocks.extend(estimate_blocks(top, lang))
    attempts = report.machine.attempts
    blocks.extend([attempts_table(attempts, lang)] if verbose else attempts_blocks(attempts, lang))
    return blocks
