"""Checks of model rows that need no arithmetic: sources, dates, names, references."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from probe.catalog.model_spec import LayerKind, ModelSpec

PURPOSES: Final = ("general", "korean", "coding", "reasoning", "vision", "embedding", "documents")
MODALITIES: Final = ("text", "vision", "embedding", "reranker")
CONFIDENCES: Final = ("exact", "derived", "partial")
LANGUAGE_STATES: Final = ("verified", "claimed")
_ALIAS: Final = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_MAX_CONTEXT: Final = 16_777_216


class Problem(NamedTuple):
    """One fault of one row; `key` names the sentence, `detail` its value."""

    key: str
    id: str
    detail: str


def model_problems(models: Iterable[ModelSpec]) -> Iterator[Problem]:
    """Every fault found in `models`; nothing for a catalog that is in order."""
    models = tuple(models)
    ids = {model.id for model in models}
    for model in models:
        yield from _own_problems(model, ids)
    names = Counter(name for model in models for name in (model.alias, *model.other_aliases) if name)
    for name, count in names.items():
        if count > 1:
            yield Problem("catalog.name_twice", name, str(count))
    for repository, count in Counter(model.id for model in models).items():
        if count > 1:
            yield Problem("catalog.name_twice", repository, str(count))


def _own_problems(model: ModelSpec, ids: set[str]) -> Iterator[Problem]:
    def fault(key: str, detail: object) -> Problem:
        return Problem(f"catalog.{key}", model.id, str(detail))

    if not model.source or any(not source.strip() for source in model.source):
        yield fault("no_source", "")
    if not _DAY.fullmatch(model.retrieved or ""):
        yield fault("no_date", model.retrieved)
    for alias in (model.alias or "", *model.other_aliases):
        if not _ALIAS.fullmatch(alias):
            yield fault("bad_alias", alias)
    for field, value, allowed in (
        ("modality", model.modality, MODALITIES),
        ("confidence", model.confidence, CONFIDENCES),
        *(("purposes", purpose, PURPOSES) for purpose in model.purposes),
        *(("languages", language.status, LANGUAGE_STATES) for language in model.languages),
    ):
        if value not in allowed:
            yield fault("bad_value", f"{field}: {value}")
    if model.release is not None and not _MONTH.fullmatch(model.release):
        yield fault("bad_value", f"release: {model.release}")
    if model.max_context is not None and not 0 < model.max_context <= _MAX_CONTEXT:
        yield fault("bad_value", f"max_context: {model.max_context}")
    if model.base_model is not None and model.base_model not in ids:
        yield fault("bad_value", f"base_model: {model.base_model}")
    yield from _language_problems(model)
    yield from _layer_problems(model)


def _language_problems(model: ModelSpec) -> Iterator[Problem]:
    has_row_source = any(source.startswith("languages:") for source in model.source)
    for language in model.languages:
        if not _LANGUAGE.fullmatch(language.code):
            yield Problem("catalog.bad_value", model.id, f"languages: {language.code}")
        if language.source is None and not has_row_source:
            yield Problem("catalog.no_source", model.id, language.code)


def _layer_problems(model: ModelSpec) -> Iterator[Problem]:
    d = model.dimensions
    if d is None:
        yield Problem("catalog.bad_value", model.id, "dimensions")
        return
    for field, values in (
        ("layer_pattern", d.layer_pattern),
        ("layer_kv_heads", d.layer_kv_heads),
        ("layer_intermediate_sizes", d.layer_intermediate_sizes),
    ):
        if values is not None and len(values) != d.num_hidden_layers:
            yield Problem("catalog.bad_value", model.id, f"{field}: {len(values)} != {d.num_hidden_layers}")
    letters = {kind.value for kind in LayerKind}
    if set(d.layer_pattern or "") - letters:
        yield Problem("catalog.bad_value", model.id, f"layer_pattern: {d.layer_pattern}")
    windowed = LayerKind.SLIDING.value in (d.layer_pattern or "")
    if windowed and d.sliding_window is None and d.attention_chunk_size is None:
        yield Problem("catalog.bad_value", model.id, "sliding_window")
