"""Catalog rows are shown under names and with units that people read."""

import re

import msgspec
import pytest

from probe.catalog.cpus import CpuSpec
from probe.catalog.gpus import GpuSpec, find_gpu
from probe.catalog.model_spec import ModelSpec
from probe.catalog.npus import NpuSpec, all_npus
from probe.messages import has
from probe.render.catalog_entry_page import entry_page
from probe.render.languages import korean_state, korean_text, other_languages
from probe.render.page import Facts, Page
from probe.report.catalog_documents import CatalogEntryDocument
from probe.report.catalog_entry import catalog_entry

OWN_WORDS = {"languages", "dimensions", "source", "gguf_metadata", "hf_config", "stored_tensors"}


def facts(page: Page) -> dict[str, str]:
    first = page.sections[0].blocks[0]
    assert isinstance(first, Facts)
    return {label: cell.text for label, cell in first.rows}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("spec", [ModelSpec, GpuSpec, CpuSpec, NpuSpec])
def test_every_field_of_a_row_has_a_name(spec: type[msgspec.Struct], lang: str) -> None:
    fields = set(spec.__struct_fields__) - OWN_WORDS
    assert {field for field in fields if not has(f"catalog_fields.field.{field}", lang)} == set()


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ["qwen3-8b", "deepseek-v3", "RTX 3060 12GB", "Core i5-8500", "M4 Max"])
def test_no_raw_key_and_no_bare_count_of_bytes_is_shown(name: str, lang: str) -> None:
    shown = facts(entry_page(catalog_entry(name), lang))
    assert [label for label in shown if re.search("[a-z]_[a-z]", label)] == []
    assert [text for text in shown.values() if re.search(r"\d,\d{3},\d{3},\d{3}$", text)] == []


def test_units_stand_beside_the_figures_of_a_gpu() -> None:
    shown = facts(entry_page(CatalogEntryDocument(gpu=find_gpu("RTX 3060 12GB")), "ko"))
    assert (shown["메모리"], shown["메모리 대역폭"], shown["메모리 클록"]) == (
        "12.0 GiB",
        "360 GB/s",
        "7,500 MHz",
    )
    assert "FP16 51.0 TFLOPS" in shown["연산 속도(희소성 제외)"]
    assert "FP8" not in shown["연산 속도(희소성 제외)"]


def test_an_npu_is_explained_by_its_sentence() -> None:
    row = next(row for row in all_npus() if row.software_note == "intel_npu")
    assert "OpenVINO" in facts(entry_page(CatalogEntryDocument(npu=row), "ko"))["화면에 쓰는 문장"]


@pytest.mark.parametrize(
    ("codes", "status", "state"),
    [
        (("ko",), "verified", "verified"),
        (("en", "ko"), "claimed", "claimed"),
        (("en", "ko"), None, "listed"),
        (("en", "fr"), None, "not_listed"),
        ((), None, "unknown"),
    ],
)
def test_what_is_known_of_korean_is_told_apart(
    codes: tuple[str, ...], status: str | None, state: str
) -> None:
    assert korean_state(codes, status) == state
    assert korean_text(codes, status, "ko")


def test_a_model_whose_korean_alone_was_looked_up_names_no_other_languages() -> None:
    shown = facts(entry_page(catalog_entry("qwen3-8b"), "ko"))
    assert shown["한국어"].startswith("지원함")
    assert "그 밖의 언어" not in shown


def test_long_lists_of_languages_are_counted() -> None:
    codes = ("ko", *(f"x{number}" for number in range(30)))
    assert other_languages(codes, "en") == "x0, x1, x2, x3, x4, x5, x6, x7 and 22 more"
