"""HTML pages as text: what may stand in them, both languages, the drawings' arithmetic."""

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.machine import Machine
from probe.recommender.options import Options
from probe.render.html import embedded_json, render_html
from probe.render.html_drawings import pools, speed_scale
from probe.render.html_models import table_data
from probe.render.html_report import report_html
from probe.render.page import Cell, Column, Command, Facts, Item, Items, Page, Paragraph, Section, Table
from probe.report.build import build_check, build_report
from probe.report.documents import ReportDocument
from probe.report.model_figures import figure_table
from probe.report.translate import check_in, report_in

GIB = 1024**3
OFFICE = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"
SERVER = "2x Tesla P100 12GB; 2x Xeon E5-2690 v4; 128GB DDR4-2400 x8; ubuntu 22.04"


@cache
def machine(spec: str) -> Machine:
    return enrich(from_spec(spec))


@cache
def report(spec: str, lang: str = "ko") -> ReportDocument:
    return build_report(machine(spec), Options(), lang=lang, created_at="2026-11-20T09:00:00Z")


@pytest.mark.parametrize("spec", [OFFICE, SERVER, "M4 Max 64GB", "GH200 96GB; 480GB LPDDR5X"])
def test_a_report_reads_the_same_translated_or_built_anew(spec: str) -> None:
    """The index of the models counts bytes of the sentences, so it is left out."""
    for lang, other in (("ko", "en"), ("en", "ko")):
        translated = report_in(report(spec, lang), other)
        built = report(spec, other)
        assert msgspec.structs.replace(translated, model_index=None) == msgspec.structs.replace(
            built, model_index=None
        )


def test_a_check_reads_the_same_translated_or_built_anew() -> None:
    from probe.catalog.models import find_model

    spec, server = find_model("llama-3.3-70b"), machine(SERVER)
    english = build_check(server, spec, Options(), lang="en")
    assert check_in(build_check(server, spec, Options(), lang="ko"), "en") == english


def test_sentences_of_a_newer_version_stay_as_they_came() -> None:
    old = report(OFFICE)
    route = old.summary.routes[0]
    assert route.code is not None
    newer = msgspec.structs.replace(route, code=msgspec.structs.replace(route.code, code="answer.route.moon"))
    summary = msgspec.structs.replace(old.summary, routes=(newer,))
    assert report_in(msgspec.structs.replace(old, summary=summary), "en").summary.routes == (newer,)


BAIT = "</script><img src=x onerror=alert(1)>&\u2028<!--"


def test_embedded_data_holds_no_letter_that_ends_a_script() -> None:
    text = str(embedded_json({"name": BAIT, BAIT: [BAIT]}))
    assert not set(text) & {"<", ">", "&", "\u2028", "\u2029"}
    assert json.loads(text)["name"] == BAIT


def test_every_block_escapes_what_it_shows() -> None:
    cell = Cell(BAIT)
    page = Page(
        title=BAIT,
        headline=BAIT,
        notices=(Paragraph(BAIT),),
        sections=(
            Section(
                title=BAIT,
                blocks=(
                    Paragraph(BAIT),
                    Command(BAIT),
                    Facts(rows=((BAIT, cell),)),
                    Table(columns=(Column(BAIT), Column(BAIT)), rows=((cell, cell),)),
                    Items(items=(Item(text=BAIT, lines=(BAIT,), command=BAIT),)),
                ),
            ),
        ),
        footer=BAIT,
    )
    text = render_html({"ko": page, "en": page}, "en")
    assert "<img" not in text
    assert "<!--" not in text
    assert text.count("</script>") == text.count("<script")
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 20


def test_a_page_names_no_other_address() -> None:
    text = report_html(report(OFFICE), "ko", figure_table(machine(OFFICE), Options()))
    assert re.findall(r"""(?:src|href)=["']?(?!data:|#main)[^"'> ]+""", text) == []
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert len(text.encode()) < 1_500_000


def test_the_table_shows_the_figures_of_the_report() -> None:
    """Same estimator, same figures: the best quantization at the report's own context."""
    document = report(SERVER)
    table = figure_table(machine(SERVER), Options())
    data: dict[str, Any] = table_data(table)
    chosen = data["context"]
    assert data["contexts"][chosen] == document.models[0].context
    for line, model in zip(document.models, data["models"], strict=True):
        verdict, quantization, speed, memory = model[5][chosen][0]
        assert data["verdicts"][verdict] == line.verdict.value
        assert data["names"][quantization] == line.quantization
        assert memory == (round(line.total_bytes / GIB, 1) if line.total_bytes else None)
        decode = line.decode_tokens_per_s
        assert speed == (None if decode is None else float(f"{decode.value:.3g}"))


@pytest.mark.parametrize("spec", [OFFICE, SERVER, "M4 Max 64GB", "GH200 96GB; 480GB LPDDR5X", "RTX 4090"])
def test_a_memory_is_drawn_whole_and_once(spec: str) -> None:
    drawn = pools(machine(spec), report(spec).recommendations[0])
    for pool in drawn:
        assert sum(piece.width for piece in pool.pieces) == pytest.approx(100)
        if pool.total_bytes is not None:
            assert sum(piece.size_bytes for piece in pool.pieces) == max(pool.total_bytes, pool.used_bytes)
    names = [device for pool in drawn for device in pool.devices]
    assert len(names) == len(set(names))


def test_shared_memory_is_one_bar_and_equal_cards_are_one_too() -> None:
    apple = pools(machine("M4 Max 64GB"), report("M4 Max 64GB").recommendations[0])
    assert [(pool.unified, pool.total_bytes) for pool in apple] == [(True, 64 * GIB)]
    eight = "8x H100 80GB; 2x EPYC 9554; 1024GB DDR5-4800 x24; ubuntu 22.04"
    idle = pools(machine(eight), None)
    assert [pool.name("en") for pool in idle] == ["8 × GPU (0-7)", "RAM"]


def test_reading_speed_stays_visible_beside_fast_models() -> None:
    scale = speed_scale(report("RTX 4090; 64GB DDR5-5200 x2; windows 11"), ("ko", "en"))
    assert 8 < scale.reading < scale.comfortable < 100
    for bar in scale.bars:
        assert 0 <= bar.low <= bar.value <= bar.high <= 100
    assert [bar.value for bar in scale.bars] == sorted((bar.value for bar in scale.bars), reverse=True)
