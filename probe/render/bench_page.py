"""The page of `probe bench`: what was measured, and real runs beside what we had said."""

from probe.machine import Range
from probe.machine.description import Measurement
from probe.messages import has, t
from probe.render.page import Cell, Column, Item, Items, Page, Section, Table, Tone
from probe.report.bench_documents import BenchDocument, BenchRun
from probe.units import format_gb_per_s, format_tokens_per_s


def bench_page(document: BenchDocument, lang: str) -> Page:
    """Bandwidths, engine runs, and what could not be measured."""
    sections = []
    rates = [entry for entry in document.measurements if entry.unit == "bytes/s"]
    if rates:
        sections.append(
            Section(
                title=t("bench.section.bandwidth", lang), blocks=(_bandwidths(rates, lang),), id="bandwidth"
            )
        )
    if document.runs:
        sections.append(
            Section(title=t("bench.section.runs", lang), blocks=(_runs(document.runs, lang),), id="runs")
        )
    if document.notes:
        items = Items(items=tuple(Item(text=note) for note in document.notes))
        sections.append(Section(title=t("bench.section.notes", lang), blocks=(items,), id="notes"))
    machine = document.machine_name or t("page.check.machine", lang)
    kept = "bench.headline.stored" if document.stored else "bench.headline.not_stored"
    return Page(
        title=t("bench.title", lang, machine=machine),
        headline=t(kept, lang),
        sections=tuple(sections),
        footer=t("bench.footer", lang),
    )


def _bandwidths(entries: list[Measurement], lang: str) -> Table:
    columns = (
        Column(t("bench.column.what", lang), wraps=True),
        Column(t("bench.column.best", lang), right=True),
        Column(t("bench.column.spread", lang), right=True),
    )
    rows = []
    for entry in entries:
        label = f"bench.what.{entry.what}"
        what = t(label, lang, **_places(entry)) if has(label, lang) else entry.what
        spread = f"{format_gb_per_s(entry.low)} - {format_gb_per_s(entry.high)}"
        rows.append((Cell(what), Cell(format_gb_per_s(entry.value), Tone.STRONG), Cell(spread)))
    return Table(columns=columns, rows=tuple(rows))


def _places(entry: Measurement) -> dict[str, str]:
    subject = entry.subject
    return {
        "device": subject.get("device", ""),
        "to": subject.get("to", ""),
        "threads": subject.get("threads", ""),
    }


def _runs(runs: tuple[BenchRun, ...], lang: str) -> Table:
    columns = (
        Column(t("bench.column.run", lang), wraps=True),
        Column(t("bench.column.measured", lang), right=True),
        Column(t("bench.column.estimated", lang), right=True),
        Column(t("bench.column.now", lang), right=True),
    )
    rows = []
    for run in runs:
        name = f"{run.engine} · {run.model} {run.quantization or ''}".rstrip()
        pairs = (
            (
                "decode",
                run.generated_tokens,
                run.decode_measured,
                run.decode_estimated,
                run.decode_calibrated,
            ),
            ("prompt", run.prompt_tokens, run.prompt_measured, run.prompt_estimated, run.prompt_calibrated),
        )
        for kind, tokens, measured, estimated, now in pairs:
            label = t(f"bench.run.{kind}", lang, name=name, tokens=tokens)
            rows.append(
                (
                    Cell(label),
                    Cell(_speed(measured, lang), Tone.STRONG),
                    Cell(_with_range(estimated, lang)),
                    Cell(_speed(now, lang)),
                )
            )
    return Table(columns=columns, rows=tuple(rows))


def _speed(value: Range | None, lang: str) -> str:
    return t("bench.unknown", lang) if value is None else format_tokens_per_s(value.value)


def _with_range(value: Range | None, lang: str) -> str:
    if value is None:
        return t("bench.unknown", lang)
    ends = f"{format_tokens_per_s(value.low)}-{format_tokens_per_s(value.high)}"
    return f"{format_tokens_per_s(value.value)} ({ends})"
