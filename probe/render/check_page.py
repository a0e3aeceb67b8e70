"""The page of one model on one machine: verdict sentence, memory, speed, reasons, alternatives, command."""

from typing import Final

from probe.messages import t
from probe.recommender.answer import PlacementKind, Verdict
from probe.render.draft_section import draft_blocks
from probe.render.figures import (
    basis,
    counted,
    gib,
    joined,
    params_pair,
    seconds,
    tokens_per_s,
    tokens_per_s_middle,
)
from probe.render.languages import korean_text, other_languages
from probe.render.page import Block, Command, Facts, Item, Items, Page, Paragraph, Section, Tone
from probe.render.tables import alternatives_table, companion_text, download_text, facts, placement_text
from probe.render.working import input_facts, memory_blocks
from probe.report.documents import CheckDocument, EstimateDocument
from probe.units import format_tokens_per_s

NO_CACHE: Final = "-"  # the cache type of models that have neither a cache nor tokens
# llama-bench runs the same files with the same library as these.
_MEASURED_BY_LLAMA_BENCH: Final = ("llama.cpp", "ollama", "lmstudio")


def check_page(check: CheckDocument, lang: str, *, explain: bool = False) -> Page:
    """The page of `probe check`; `explain` adds what the speed formula was given."""
    sections = [
        _section("reasons", lang, Items(items=tuple(Item(text=reason) for reason in check.reasons)))
        if check.reasons
        else None,
        _section("command", lang, *(Command(line) for line in check.command.splitlines()))
        if check.command
        else None,
        _memory_section(check, lang),
        _section("speed", lang, *_speed_blocks(check, lang)) if _has_speed(check) else None,
        _draft_section(check, lang),
        _section("alternatives", lang, alternatives_table(check.alternatives, lang))
        if check.alternatives
        else None,
        _section("inputs", lang, *_input_blocks(check, lang)) if explain and check.speed.inputs else None,
        _section("not_modeled", lang, Items(items=tuple(Item(text=text) for text in check.not_modeled)))
        if explain and check.not_modeled
        else None,
    ]
    return Page(
        title=t("page.title.check", lang, model=check.model.name, machine=_machine(check, lang)),
        headline=headline(check, lang),
        notices=_notices(check, lang),
        sections=(
            _section("model", lang, _model_facts(check, lang)),
            *(section for section in sections if section is not None),
        ),
    )


def _section(title: str, lang: str, *blocks: Block) -> Section:
    return Section(title=t(f"page.section.{title}", lang), blocks=blocks, id=title)


def _machine(check: CheckDocument, lang: str) -> str:
    return check.machine_name or t("page.check.machine", lang)


def headline(check: CheckDocument, lang: str) -> str:
    """The verdict as one sentence that a layman understands."""
    return t(
        f"page.check.{_headline_kind(check)}",
        lang,
        model=check.model.name,
        quantization=check.quantization,
        machine=_machine(check, lang),
        speed=tokens_per_s_middle(check.speed.decode_tokens_per_s, lang),
        memory=gib(check.memory.total_bytes, lang),
    )


def _headline_kind(check: EstimateDocument) -> str:
    total, decode = check.memory.total_bytes, check.speed.decode_tokens_per_s
    generates = decode is not None
    if check.verdict is Verdict.NO:
        if check.fits is False:
            return "no_fit" if total else "no_plain"
        return "no" if generates else "no_plain"
    if check.verdict is Verdict.UNKNOWN:
        return "unknown"
    return check.verdict.value if generates else f"{check.verdict.value}_embedding"


def _notices(check: CheckDocument, lang: str) -> tuple[Paragraph, ...]:
    notices = []
    if check.companion is not None:
        notices.append(Paragraph(companion_text(check.companion, lang)))
    if check.fits and check.fits_now is False:
        notices.append(Paragraph(t("page.notice.now_full", lang), Tone.POOR))
    return tuple(notices)


def _model_facts(check: CheckDocument, lang: str) -> Facts:
    model = check.model
    setting = t(
        "desktop.onnx.setting"
        if check.kv_type == NO_CACHE
        else counted("page.check.setting_text", check.parallel),
        lang,
        engine=check.engine,
        quantization=check.quantization,
        context=check.context,
        parallel=check.parallel,
        kv_type=check.kv_type,
    )
    name = joined((model.name, params_pair(model.params_total, model.params_active, lang)))
    return facts(
        (
            (t("page.check.model", lang), name),
            (t("page.check.setting", lang), setting),
            (t("page.check.placement", lang), placement_text(check.placement, lang)),
            (t("page.check.download", lang), download_text(check.file_bytes, lang)),
            (t("catalog_fields.language.korean", lang), korean_text(model.languages, model.korean, lang)),
            (t("catalog_fields.language.others", lang), other_languages(model.languages, lang)),
            (t("page.check.license", lang), model.license),
        )
    )


def _memory_section(check: CheckDocument, lang: str) -> Section | None:
    blocks = memory_blocks(check.memory, lang, unified=check.placement.kind is PlacementKind.UNIFIED)
    band = check.memory_range
    if blocks and band is not None:
        low, high = gib(band.low, lang), gib(band.high, lang)
        blocks.append(Paragraph(t("page.memory.range", lang, low=low, high=high), Tone.FAINT))
    return _section("memory", lang, *blocks) if blocks else None


def _draft_section(check: CheckDocument, lang: str) -> Section | None:
    if check.draft is None:
        return None
    blocks = draft_blocks(check.draft, check.speed.speculative, lang)
    return Section(title=t("draft.page.title", lang), blocks=tuple(blocks), id="draft")


def _has_speed(check: CheckDocument) -> bool:
    """Speeds of a placement that does not fit, or that nobody knows, would only mislead."""
    known = check.speed.decode_tokens_per_s is not None or check.verdict is not Verdict.UNKNOWN
    return check.fits is not False and known and check.kv_type != NO_CACHE


def _speed_blocks(check: CheckDocument, lang: str) -> list[Block]:
    speed = check.speed
    decode, limit = speed.decode_tokens_per_s, speed.decode_limit_tokens_per_s
    first, together = speed.time_to_first_token_s, speed.aggregate_tokens_per_s
    only_reads = decode is None and speed.prefill_tokens_per_s is not None  # embedding models, rerankers
    rows: list[tuple[str, str | None]] = [
        (t("page.check.decode", lang), None if only_reads else tokens_per_s(decode, lang)),
        (
            t("page.check.aggregate", lang),
            t("page.check.aggregate_text", lang, speed=format_tokens_per_s(together))
            if together is not None and check.parallel > 1
            else None,
        ),
        (
            t("page.check.limit", lang),
            None if limit is None else t("page.check.limit_text", lang, speed=format_tokens_per_s(limit)),
        ),
        (t("page.check.prefill", lang), tokens_per_s(speed.prefill_tokens_per_s, lang)),
        (
            t(f"page.check.{'reading' if only_reads else 'first_token'}", lang),
            _first_token_text(first, lang, only_reads=only_reads),
        ),
        (
            t("page.check.max_context", lang),
            None
            if check.max_context is None
            else t("page.check.max_context_text", lang, tokens=check.max_context),
        ),
        (
            t("page.check.fits_now", lang),
            None
            if check.fits_now is None or not check.fits
            else t(f"page.check.fits_now_{'yes' if check.fits_now else 'no'}", lang),
        ),
    ]
    blocks: list[Block] = [facts(rows)]
    if decode is not None:
        source = basis(decode.basis, lang)
        text = t("page.check.depth", lang, depth=speed.depth_tokens, basis=source)
        blocks.append(Paragraph(text, Tone.FAINT))
    return blocks


def _first_token_text(first: float | None, lang: str, *, only_reads: bool) -> str | None:
    if first is None or only_reads:
        return None if first is None else seconds(first, lang)
    return t("page.check.first_token_text", lang, time=seconds(first, lang))


def _input_blocks(check: CheckDocument, lang: str) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(t("page.how.speed_rule", lang)),
        input_facts(check.speed.inputs, lang),
    ]
    if check.engine in _MEASURED_BY_LLAMA_BENCH:
        blocks.append(Paragraph(t("page.check.verify", lang), Tone.FAINT))
    return blocks
