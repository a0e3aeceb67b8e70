"""How good a model is at a purpose: one figure from published benchmarks, with its band."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError
from probe.machine.ranges import Range

QUALITY_FILE: Final = "catalogs/models/quality.json"
FITTED: Final = "fit"
PRIOR: Final = "prior"
# Long documents need what general questions need; no benchmark of the data is about them alone.
_READ_AS: Final = {"documents": "general"}


class QualityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How well the fit predicts the scores of models that were left out of it."""

    scores: int
    median_error_points: float
    p90_error_points: float
    share_in_band: float


class QualityFile(msgspec.Struct, frozen=True, kw_only=True):
    """What scripts/fit_quality.py writes."""

    schema_version: int
    script: str
    data_sha256: str
    fitted: str
    reference: dict[str, str]
    check: QualityCheck
    scores: dict[str, dict[str, tuple[float, float, float, str]]]


@cache
def quality_file() -> QualityFile:
    """All figures, with the script and the data they come from.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(QUALITY_FILE), type=QualityFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=QUALITY_FILE, detail=str(error)) from error


def quality_of(model_id: str, purpose: str) -> Range | None:
    """Points from 0 to 100 at `purpose`, or None where no figure makes sense.

    Points are those of the purpose's reference benchmark (`reference_benchmark`), so
    figures compare within a purpose only. Basis `fit`: the model has published scores
    for this purpose; `prior`: only its size, date and family speak for it, and the band
    is wide. The band holds 8 of 10 models.

    Source: scripts/fit_quality.py on catalogs/benchmarks/quality.
    """
    figures = quality_file().scores.get(model_id)
    figure = figures.get(_READ_AS.get(purpose, purpose)) if figures is not None else None
    if figure is None:
        return None
    low, value, high, basis = figure
    return Range(low=low, value=value, high=high, basis=basis)


def reference_benchmark(purpose: str) -> str | None:
    """The benchmark in whose points `purpose` is printed, such as "MMLU-Pro"."""
    return quality_file().reference.get(_READ_AS.get(purpose, purpose))
