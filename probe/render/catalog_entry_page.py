"""The page of one catalog row: every field under a name that people read, with its unit."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from probe.messages import has, t
from probe.render.figures import gib, params
from probe.render.languages import korean_text, other_languages
from probe.render.page import Block, Cell, Facts, Item, Items, Page, Section
from probe.report.catalog_documents import CatalogEntryDocument
from probe.units import format_gb_per_s

_OWN_SECTION: Final = ("dimensions", "source")
_SAME_AS_TOTAL: Final = ("params_text", "params_active")  # worth a line only where they differ
_BETWEEN_SOURCES: Final = re.compile(r"; (?![^(]*\))")
_SUFFIXES: Final[tuple[tuple[str, Callable[[Any, str], str]], ...]] = (
    ("_bytes_per_s", lambda value, lang: format_gb_per_s(value)),
    ("_bytes", gib),
    ("_mt_per_s", lambda value, lang: f"{value:,} MT/s"),
    ("_mhz", lambda value, lang: f"{value:,} MHz"),
    ("_bits", lambda value, lang: t("catalog_fields.value.bits", lang, count=value)),
    ("_w", lambda value, lang: f"{value} W"),
)
_WORDS: Final = ("form", "kind", "modality", "confidence", "origin")


def entry_page(entry: CatalogEntryDocument, lang: str) -> Page:
    """One row: its fields, the shapes of a model, the sources."""
    row = entry.model or entry.gpu or entry.cpu or entry.npu
    fields: dict[str, Any] = msgspec.to_builtins(row)
    name = str(fields.get("name", ""))
    rows = [
        (label, Cell(text))
        for key, value in fields.items()
        if key not in _OWN_SECTION and not (key in _SAME_AS_TOTAL and value == fields.get("params_total"))
        for label, text in _labelled(key, value, lang)
        if text
    ]
    sections = [Section(title=str(fields.get("id") or name), blocks=(Facts(rows=tuple(rows)),))]
    if "dimensions" in fields:
        shapes = Facts(
            rows=tuple((key, Cell(_plain(value, lang))) for key, value in _flat(fields["dimensions"]))
        )
        sections.append(_section("dimensions", shapes, lang))
    source = fields.get("source")
    lines = _BETWEEN_SOURCES.split(source) if isinstance(source, str) else source or ()
    if lines:
        sections.append(_section("sources", Items(items=tuple(Item(text=text) for text in lines)), lang))
    return Page(title=name, sections=tuple(sections))


def _section(name: str, block: Block, lang: str) -> Section:
    return Section(title=t(f"catalog_fields.value.{name}", lang), blocks=(block,))


def _flat(shapes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    extra = shapes.get("extra") or {}
    return [*((key, value) for key, value in shapes.items() if key != "extra"), *extra.items()]


def _labelled(key: str, value: Any, lang: str) -> list[tuple[str, str]]:
    if key == "languages":
        return _language_rows(value, lang)
    return [(t(f"catalog_fields.field.{key}", lang), _text(key, value, lang))]


def _language_rows(languages: list[Mapping[str, str]], lang: str) -> list[tuple[str, str]]:
    codes = [language["code"] for language in languages]
    korean = next((language for language in languages if language["code"] == "ko"), None)
    told = korean_text(codes, korean["status"] if korean else None, lang)
    source = korean.get("source") if korean else None
    return [
        (t("catalog_fields.language.korean", lang), f"{told}: {source}" if source else told),
        (t("catalog_fields.language.others", lang), other_languages(codes, lang) or ""),
    ]


def _text(key: str, value: Any, lang: str) -> str:
    if key == "software_note":
        return t(f"npus.{value}", lang, name=t("catalog_fields.word.npu", lang))
    if key == "purposes":
        return ", ".join(t(f"page.purpose.{name}", lang) for name in value)
    if key == "populations":
        return "; ".join(_population(one, lang) for one in value)
    if key == "compute":
        return ", ".join(_rate(name, rate) for name, rate in value.items() if rate is not None)
    if key == "memory_alternatives":
        return ", ".join(f"{one['type']} {one['mt_per_s']:,} MT/s" for one in value)
    if key == "minimum_engine_versions":
        return ", ".join(f"{engine} {version}" for engine, version in value.items())
    if key in _WORDS and has(f"catalog_fields.word.{value}", lang):
        return t(f"catalog_fields.word.{value}", lang)
    if key.startswith("params_") and value is not None:
        return f"{params(value, lang)} ({value:,})"
    return _plain(value, lang, _writer(key))


def _writer(key: str) -> Callable[[Any, str], str] | None:
    return next((write for suffix, write in _SUFFIXES if key.endswith(suffix)), None)


def _population(one: Mapping[str, Any], lang: str) -> str:
    return t(
        "catalog_fields.value.population",
        lang,
        form=t(f"catalog_fields.word.{one['form']}", lang),
        machines=one["machines"],
        one=one["share_one_module"],
        low=one["speed_p10_mt_per_s"],
        high=one["speed_p90_mt_per_s"],
        median=one["speed_median_mt_per_s"],
        ram=one["ram_median_gib"],
    )


def _rate(name: str, rate: float) -> str:
    """`fp16_tflops` 50.95 as `FP16 51.0 TFLOPS`."""
    number, _, unit = name.upper().partition("_")
    return f"{number} {rate:,.1f} {unit}"


def _plain(value: Any, lang: str, write: Callable[[Any, str], str] | None = None) -> str:
    if value is None:
        return t("page.unknown", lang)
    if isinstance(value, bool):
        return t(f"page.{'yes' if value else 'no'}", lang)
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(inner, lang, write) for inner in value)
    if write is not None:
        return write(value, lang)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.15g}" if isinstance(value, float) else str(value)
