"""Is the catalog sound: every row has its source and date, every model's shapes add up."""

from collections.abc import Iterable, Iterator

import msgspec

from probe.catalog.cpus import CpuSpec, all_cpus
from probe.catalog.engines import all_engines
from probe.catalog.gpus import GpuSpec, all_gpus
from probe.catalog.models import all_models, catalog_date, excluded_models
from probe.catalog.npus import NpuSpec, all_npus
from probe.catalog.quantizations import all_checkpoint_formats, all_recipes
from probe.catalog.validate import model_problems
from probe.estimate.identity import discrepancies
from probe.estimate.not_modeled import NotModeledError
from probe.messages import t
from probe.report.documents import SCHEMA_VERSION

_Device = GpuSpec | CpuSpec | NpuSpec


class CatalogProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with which row."""

    id: str
    text: str


class CatalogCheckDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="catalog_check"):
    """`probe catalog validate --json`: rows counted, problems listed."""

    schema_version: str = SCHEMA_VERSION
    updated: str
    models: int
    excluded: int
    devices: int
    engines: int
    quantizations: int
    problems: tuple[CatalogProblem, ...]


def catalog_check(lang: str) -> CatalogCheckDocument:
    """Every row loaded and checked; the sentences of the problems in `lang`.

    Raises:
        CatalogError: a file is so damaged that it cannot be loaded.
    """
    devices: tuple[_Device, ...] = (*all_gpus(), *all_cpus(), *all_npus())
    engines = all_engines()
    return CatalogCheckDocument(
        updated=catalog_date(),
        models=len(all_models()),
        excluded=len(excluded_models()),
        devices=len(devices),
        engines=len(engines),
        quantizations=len(all_recipes()) + len(all_checkpoint_formats()),
        problems=(*_model_problems(lang), *_device_problems(devices, lang)),
    )


def _model_problems(lang: str) -> Iterator[CatalogProblem]:
    for problem in model_problems(all_models()):
        yield CatalogProblem(id=problem.id, text=t(problem.key, lang, id=problem.id, detail=problem.detail))
    for spec in all_models():
        try:
            found = discrepancies(spec)
        except NotModeledError:
            continue  # nothing is known to count it with: no figure of its own to contradict
        for one in found:
            text = t(one.key, lang, id=spec.id, counted=one.counted, stated=one.stated)
            yield CatalogProblem(id=spec.id, text=text)


def _device_problems(rows: Iterable[_Device], lang: str) -> Iterator[CatalogProblem]:
    for row in rows:
        if not row.source.strip():
            yield CatalogProblem(id=row.name, text=t("catalog.no_source", lang, id=row.name, detail=""))
        if not row.retrieved.strip():
            yield CatalogProblem(id=row.name, text=t("catalog.no_date", lang, id=row.name, detail=""))
