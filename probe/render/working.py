"""How a number came about: memory by part, what the formulas were given, what was asked of the machine."""

from collections.abc import Mapping, Sequence

from probe.machine import Attempt, AttemptResult
from probe.messages import has, t
from probe.recommender.answer import PlacementKind
from probe.render.figures import basis, gib
from probe.render.page import Block, Cell, Column, Facts, Heading, Paragraph, Table, Tone
from probe.render.tables import device_table, device_word, memory_table
from probe.report.documents import EstimateDocument, MemoryDocument
from probe.units import format_gb_per_s

_FAILURES = (AttemptResult.DENIED, AttemptResult.FAILED, AttemptResult.TIMEOUT)


def memory_blocks(memory: MemoryDocument, lang: str, *, unified: bool) -> list[Block]:
    """The memory table, devices one by one where there are many, and the rule of thumb beside it.

    Args:
        unified: GPU and CPU share their memory, so what each may take must not be added up.
    """
    if not memory.per_device:
        return []
    blocks: list[Block] = [memory_table(memory, lang, unified=unified)]
    devices = device_table(memory, lang)
    if devices is not None:
        blocks.append(devices)
    if memory.rule_of_thumb_bytes is not None and memory.total_bytes is not None:
        thumb, total = gib(memory.rule_of_thumb_bytes, lang), gib(memory.total_bytes, lang)
        blocks.append(Paragraph(t("page.memory.thumb", lang, thumb=thumb, total=total), Tone.FAINT))
    return blocks


def estimate_blocks(estimate: EstimateDocument, lang: str) -> list[Block]:
    """Memory and speed of one answer with everything they rest on."""
    unified = estimate.placement.kind is PlacementKind.UNIFIED
    blocks = memory_blocks(estimate.memory, lang, unified=unified)
    if estimate.speed.inputs:
        blocks.append(Paragraph(t("page.how.speed_rule", lang)))
        blocks.append(input_facts(estimate.speed.inputs, lang))
    decode = estimate.speed.decode_tokens_per_s
    if decode is not None:
        text = t("page.check.depth", lang, depth=estimate.speed.depth_tokens, basis=basis(decode.basis, lang))
        blocks.append(Paragraph(text, Tone.FAINT))
    return blocks


def input_facts(inputs: Mapping[str, float | str], lang: str) -> Facts:
    """What the speed formula was given, each in its unit."""
    return Facts(
        rows=tuple(
            (_input_label(name, lang), Cell(_input(name, value, lang))) for name, value in inputs.items()
        )
    )


def _input_label(name: str, lang: str) -> str:
    key = f"page.input.{name}"
    return t(key, lang) if has(key, lang) else name.replace("_", " ")


def _input(name: str, value: float | str, lang: str) -> str:
    if isinstance(value, str):
        if name == "device":
            return "CPU" if value == "cpu" else device_word(value, lang)
        return basis(value, lang) if name.endswith("_basis") else value
    if name.endswith("bytes_per_s"):
        return format_gb_per_s(value)
    if name == "arithmetic_per_s":
        return f"{value / 1e12:,.3g} × 10^12/s"
    if name.endswith("bytes"):
        return gib(value, lang)
    if name.endswith("_s"):
        return f"{value * 1000:,.3g} ms"
    return f"{value * 100:.0f} %" if name == "efficiency" else f"{value:,.4g}"


def attempts_blocks(attempts: Sequence[Attempt], lang: str) -> list[Block]:
    """Sources that failed, one row each; sources that are merely absent in one line."""
    failed = [attempt for attempt in attempts if attempt.result in _FAILURES]
    absent = [attempt.source for attempt in attempts if attempt.result is AttemptResult.ABSENT]
    blocks: list[Block] = []
    if failed:
        blocks.extend((Heading(t("page.how.failed", lang)), attempts_table(failed, lang)))
    if absent:
        blocks.append(Paragraph(t("page.how.absent", lang, sources=", ".join(absent)), Tone.FAINT))
    return blocks


def attempts_table(attempts: Sequence[Attempt], lang: str) -> Table:
    """Source, result, time and detail of each attempt."""
    columns = (
        Column(t("page.column.source", lang)),
        Column(t("page.column.result", lang)),
        Column(t("page.column.took", lang), right=True),
        Column(t("page.column.detail", lang), wraps=True),
    )
    rows = tuple(
        (
            Cell(attempt.source),
            Cell(
                t(f"page.result.{attempt.result.value}", lang),
                Tone.POOR if attempt.result in _FAILURES else Tone.PLAIN,
            ),
            Cell(f"{attempt.ms:,.0f}"),
            Cell(attempt.detail or ""),
        )
        for attempt in attempts
    )
    return Table(columns=columns, rows=rows)
