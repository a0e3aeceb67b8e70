"""The lines of a report's models once more as columns, so that thousands of reports are read in a second.

A report is 200 KB, nine tenths of it lines and recommendations. Who reads a folder of
reports needs a letter and three figures of each line: they stand before the bulk, and
the length of all that follows stands beside them. A file whose bulk has another length was edited,
cut off or written by another program: then the lines themselves are read.
"""

import hashlib
from typing import Final

import msgspec

from probe.machine import Range
from probe.recommender.answer import Verdict
from probe.report.documents import (
    ModelIndex,
    ModelLine,
    RecommendationDocument,
    ReportDocument,
    SizeMapCell,
)

LETTERS: Final = {
    Verdict.COMFORTABLE: "c",
    Verdict.USABLE: "u",
    Verdict.SLOW: "s",
    Verdict.NO: "n",
    Verdict.UNKNOWN: "?",
}
NO_SPEED: Final = "-"
IDS_START: Final = b',"ids":"'
IDS_START_INDENTED: Final = b',\n    "ids": "'
BASIS_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class _Bulk(msgspec.Struct, frozen=True):
    """The last members of a report, in its order: what need not be read when the index is."""

    size_map: tuple[SizeMapCell, ...]
    recommendations: tuple[RecommendationDocument, ...]
    models: tuple[ModelLine, ...]


def hash_of(ids: str) -> str:
    """What tells one list of models from another."""
    return hashlib.sha256(ids.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def with_model_index(report: ReportDocument) -> ReportDocument:
    """The report with the columns of its lines and the length of the members that follow them."""
    speeds = [line.decode_tokens_per_s for line in report.models]
    bases = tuple(dict.fromkeys(speed.basis for speed in speeds if speed is not None))[: len(BASIS_DIGITS)]
    bulk = msgspec.json.encode(_Bulk(report.size_map, report.recommendations, report.models))
    ids = "\n".join(line.id for line in report.models)
    # A comma stands where the bulk alone has its opening brace, so the lengths are equal.
    index = ModelIndex(
        verdicts="".join(LETTERS[line.verdict] for line in report.models),
        bases=bases,
        basis="".join(_digit(speed, bases) for speed in speeds),
        decode_tokens_per_s=" ".join(
            f"{figure:.4g}"
            for speed in speeds
            if speed is not None and speed.basis in bases
            for figure in (speed.low, speed.value, speed.high)
        ),
        rest_bytes=len(IDS_START) + len(msgspec.json.encode(ids)) - 1 + len(b"}") + len(bulk),
        rest_bytes_indented=len(IDS_START_INDENTED)
        + len(msgspec.json.encode(ids))
        - 1
        + len(b"\n  }")
        + len(msgspec.json.format(bulk, indent=2)),
        ids_hash=hash_of(ids),
        ids=ids,
    )
    return msgspec.structs.replace(report, model_index=index)


def _digit(speed: Range | None, bases: tuple[str, ...]) -> str:
    if speed is None or speed.basis not in bases:
        return NO_SPEED
    return BASIS_DIGITS[bases.index(speed.basis)]
