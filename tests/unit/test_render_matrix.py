"""The matrix of weight formats explains its words before the tables, and cuts nothing off."""

import pytest

from probe.messages import t
from probe.render.page import Cell, Column, Page, Section, Table
from probe.render.preflight_page import matrix_page
from probe.render.terminal import render_terminal
from probe.render.text import cell_width, wrap_pieces
from probe.report.preflight import build_matrix

CODES = ("weight_only", "plugin", "documented_only", "unverified")


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_words_of_the_table_are_explained_above_it(lang: str, width: int) -> None:
    text = render_terminal(matrix_page(build_matrix(), lang), width=width)
    table = text.index("Volta")
    assert all(text.index(t(f"preflight.legend.{code}", lang)) < table for code in CODES)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_word_of_the_table_is_cut(lang: str, width: int) -> None:
    lines = render_terminal(matrix_page(build_matrix(), lang), width=width).splitlines()
    assert max(cell_width(line) for line in lines) <= width
    words = {word for line in lines for word in line.split()}
    no = t("preflight.cell.no", lang)
    assert words >= {"Volta", "Turing", "Ampere", "Hopper", "B200", no}
    assert words & {"compressed_tensors_fp8_w8a8", "c_t_fp8_w8a8"}


def test_a_table_that_cannot_fit_goes_over_several_lines() -> None:
    names = ("a-long-name-of-a-model", "another-long-name-here", "a-third-one-of-this-kind")
    table = Table(
        columns=tuple(Column(title) for title in ("one", "two", "three")),
        rows=(tuple(Cell(name) for name in names),),
    )
    text = render_terminal(Page(title="", sections=(Section(title="", blocks=(table,)),)), width=60)
    letters = sorted(text.split("three")[1].replace("\n", "").replace(" ", ""))
    assert letters == sorted("".join(names))


def test_long_names_are_broken_after_hyphens() -> None:
    table = Table(
        columns=(Column("machine"), Column("hardware", wraps=True), Column("model", wraps=True)),
        rows=(
            (
                Cell("a100"),
                Cell("4 × NVIDIA A100-SXM4-80GB · RAM 512 GiB (16 channels)"),
                Cell("NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"),
            ),
        ),
    )
    lines = render_terminal(
        Page(title="", sections=(Section(title="", blocks=(table,)),)), width=60
    ).splitlines()
    assert max(cell_width(line) for line in lines) <= 60
    ends = [line.split()[-1] for line in lines if "NVIDIA" in line or "Ultra" in line or "A55B" in line]
    assert ends
    assert all(end.endswith(("-", "BF16")) for end in ends)


def test_lines_are_broken_at_blanks_before_hyphens() -> None:
    assert wrap_pieces("RAM 16 GiB Qwen3-30B-A3B", 10) == ["RAM 16 GiB", "Qwen3-30B-", "A3B"]
    assert wrap_pieces("Intel Core i5-1135G7", 15) == ["Intel Core", "i5-1135G7"]
    assert wrap_pieces("", 15) == [""]
