"""The catalog as documents: what `probe catalog list` and `probe catalog show` print."""

import msgspec

from probe.catalog.cpus import CpuSpec, all_cpus
from probe.catalog.engines import all_engines
from probe.catalog.gpus import GpuSpec, all_gpus
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.catalog.npus import NpuSpec, all_npus
from probe.report.documents import SCHEMA_VERSION
from probe.report.encode import korean_status


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model row. `language_sources` has an entry for each language whose source is known.

    `languages` holds those that were looked up, not all that the model speaks. `korean`: verified (read in
    the maker's documents), claimed (expected, not read), null where Korean is not among them.
    """

    id: str
    alias: str | None
    name: str
    family: str | None
    vendor: str | None
    params_total: int | None
    params_active: int | None
    languages: tuple[str, ...]
    language_sources: dict[str, str]
    purposes: tuple[str, ...]
    license: str | None
    max_context: int | None
    confidence: str | None
    korean: str | None = None


class CatalogDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device row. kind: discrete, integrated, unified, npu, card or cpu."""

    name: str
    vendor: str
    kind: str


class CatalogEngine(msgspec.Struct, frozen=True, kw_only=True):
    """One engine row."""

    id: str
    name: str


class CatalogDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="catalog"):
    """`probe catalog list --json`."""

    schema_version: str = SCHEMA_VERSION
    models: tuple[CatalogModel, ...]
    devices: tuple[CatalogDevice, ...]
    engines: tuple[CatalogEngine, ...]


class CatalogEntryDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="catalog_entry"):
    """`probe catalog show NAME --json`: one row as the catalog holds it, sources too; the others are null."""

    schema_version: str = SCHEMA_VERSION
    model: ModelSpec | None = None
    gpu: GpuSpec | None = None
    cpu: CpuSpec | None = None
    npu: NpuSpec | None = None


def _model(spec: ModelSpec) -> CatalogModel:
    row_source = next((text for text in spec.source if text.startswith("languages:")), None)
    shared = row_source.removeprefix("languages:").strip() if row_source else None
    sources = {language.code: language.source or shared for language in spec.languages}
    return CatalogModel(
        id=spec.id,
        alias=spec.alias,
        name=spec.name,
        family=spec.family,
        vendor=spec.vendor,
        params_total=spec.params_total,
        params_active=spec.params_active,
        languages=tuple(language.code for language in spec.languages),
        language_sources={code: source for code, source in sources.items() if source is not None},
        purposes=spec.purposes,
        license=spec.license,
        max_context=spec.max_context,
        confidence=spec.confidence,
        korean=korean_status(spec),
    )


def catalog_document() -> CatalogDocument:
    """Every model, device and engine of the catalog.

    Raises:
        CatalogError: a file of the catalog is missing or damaged.
    """
    devices = [CatalogDevice(name=row.name, vendor=row.vendor, kind=row.kind.value) for row in all_gpus()]
    devices += [CatalogDevice(name=row.name, vendor=row.vendor, kind="cpu") for row in all_cpus()]
    devices += [CatalogDevice(name=row.name, vendor=row.vendor, kind=row.kind.value) for row in all_npus()]
    return CatalogDocument(
        models=tuple(_model(spec) for spec in all_models()),
        devices=tuple(devices),
        engines=tuple(CatalogEngine(id=row.id, name=row.name) for row in all_engines()),
    )
