"""A document as CSV for a spreadsheet: one row a model, no cell that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from probe.machine import Range
from probe.render.text import clean
from probe.report.documents import EstimateDocument, ReportDocument

if TYPE_CHECKING:
    from probe.report.catalog_documents import CatalogDocument  # loads every device table

Value = str | int | float | bool | None

# What makes a spreadsheet read a cell as a formula.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "|", "%")

MODEL_COLUMNS: Final = (
    "host_id",
    "host_name",
    "model",
    "name",
    "engine",
    "quantization",
    "context",
    "parallel",
    "verdict",
    "fits",
    "fits_now",
    "decode_tokens_per_s_low",
    "decode_tokens_per_s",
    "decode_tokens_per_s_high",
    "time_to_first_token_s",
    "total_bytes",
    "file_bytes",
    "max_context",
    "placement",
    "command",
)


def safe_cell(value: Value) -> Value:
    """The value as a cell: texts that begin like a formula get an apostrophe, None becomes empty."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = clean(value)
    return f"'{text}" if value.startswith(_FORMULA_STARTS) or text.startswith(_FORMULA_STARTS) else text


def render_rows(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Headings and rows as CSV text with the line ends RFC 4180 asks for."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _speed(decode: Range | None) -> tuple[Value, Value, Value]:
    if decode is None:
        return (None, None, None)
    return (round(decode.low, 2), round(decode.value, 2), round(decode.high, 2))


def report_csv(report: ReportDocument) -> str:
    """One row for each catalog model: the best that fits."""
    host = report.machine.host
    rows = (
        (
            host.id,
            host.name,
            line.id,
            line.name,
            line.engine,
            line.quantization,
            line.context,
            None,
            line.verdict.value,
            None,
            None,
            *_speed(line.decode_tokens_per_s),
            line.time_to_first_token_s,
            line.total_bytes,
            line.file_bytes,
            None,
            line.placement,
            None,
        )
        for line in report.models
    )
    return render_rows(MODEL_COLUMNS, rows)


def estimates_csv(estimates: Sequence[EstimateDocument], host_name: str | None) -> str:
    """One row for each answer about a model: the answer itself and its alternatives."""
    rows = (
        (
            None,
            host_name,
            one.model.id,
            one.model.name,
            one.engine,
            one.quantization,
            one.context,
            one.parallel,
            one.verdict.value,
            one.fits,
            one.fits_now,
            *_speed(one.speed.decode_tokens_per_s),
            one.speed.time_to_first_token_s,
            one.memory.total_bytes,
            one.file_bytes,
            one.max_context,
            one.placement.kind.value,
            one.command,
        )
        for one in estimates
    )
    return render_rows(MODEL_COLUMNS, rows)


def catalog_csv(catalog: "CatalogDocument") -> str:
    """One row for each model of the catalog."""
    columns = (
        "id",
        "alias",
        "name",
        "family",
        "vendor",
        "params_total",
        "params_active",
        "languages",
        "purposes",
        "license",
        "max_context",
        "confidence",
        "korean",
    )
    rows = (
        (
            model.id,
            model.alias,
            model.name,
            model.family,
            model.vendor,
            model.params_total,
            model.params_active,
            " ".join(model.languages),
            " ".join(model.purposes),
            model.license,
            model.max_context,
            model.confidence,
            model.korean,
        )
        for model in catalog.models
    )
    return render_rows(columns, rows)
