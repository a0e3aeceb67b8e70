"""Every format shows the same figures; foreign names harm none of them."""

import csv
import io
import json
import re

import msgspec
import pytest

from probe.machine import Range
from probe.recommender.answer import Verdict
from probe.render.check_page import check_page
from probe.render.csv import estimates_csv, report_csv, safe_cell
from probe.render.figures import bandwidth, gib, params_pair, tokens_per_s
from probe.render.json import render_json
from probe.render.markdown import code_block, escape, render_markdown
from probe.render.page import Cell, Column, Command, Facts, Item, Items, Page, Paragraph, Section, Table
from probe.render.report_page import report_page
from probe.render.scan_page import scan_page
from probe.render.tables import models_by_verdict, size_map_table
from probe.render.terminal import render_terminal
from probe.render.text import cell_width
from tests.golden.documents import CHECKS, REPORTS, laptop, model_lines, office_pc, size_map

HOSTILE = "[bold red]evil[/] `rm -rf` | <script>\x1b]0;title\x07 **x** =1+1"


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_no_line_is_wider_than_the_terminal(name: str, lang: str, width: int) -> None:
    """Commands are left whole: they are copied."""
    text = render_terminal(report_page(REPORTS[name](lang), lang), width=width)
    too_wide = [line for line in text.splitlines() if cell_width(line) > width and "llama-server" not in line]
    assert too_wide == []


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_every_cell_of_the_map_keeps_its_verdict_and_speed_at_every_width(
    name: str, lang: str, width: int
) -> None:
    """Ten rows of four cells, and none of them cut off."""
    text = render_terminal(report_page(REPORTS[name](lang), lang), width=width)
    words = {"ko": "쾌적|사용 가능|가능|느림|불가", "en": "comfortable|comfort|usable|slow|no"}[lang]
    rows = [line for line in text.splitlines() if re.match(rf"\d+B( MoE)? +({words})", line)]
    assert len(rows) == 10
    assert all(len(re.findall(rf"(?:{words})(?= |$)", row)) == 4 for row in rows)
    assert "…" not in text


@pytest.mark.parametrize("name", sorted(REPORTS))
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_korean_console_can_show_the_whole_page(name: str, lang: str) -> None:
    text = render_terminal(report_page(REPORTS[name](lang), lang), width=80)
    assert text.encode("cp949").decode("cp949") == text


def test_colour_adds_sequences_and_changes_no_letter() -> None:
    page = report_page(office_pc("ko"), "ko")
    coloured = render_terminal(page, width=80, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == render_terminal(page, width=80).split()


def test_terminal_and_markdown_show_the_same_figures() -> None:
    page = report_page(laptop("en"), "en")
    plain = " ".join(render_terminal(page, width=120).split())
    for row in size_map_table(laptop("en").size_map, "en").rows:
        for cell in row[1:]:
            assert cell.text in plain
            assert escape(cell.long or "") in render_markdown(page)


def test_a_hostile_name_reaches_no_format_as_code() -> None:
    block = Table(columns=(Column("Name"),), rows=((Cell(HOSTILE),),))
    blocks = (
        block,
        Paragraph(HOSTILE),
        Facts(rows=((HOSTILE, Cell(HOSTILE)),)),
        Items(items=(Item(text=HOSTILE),)),
    )
    page = Page(title=HOSTILE, headline=HOSTILE, sections=(Section(title=HOSTILE, blocks=blocks),))
    terminal = render_terminal(page, width=120)
    assert "\x1b" not in terminal
    assert "[bold red]evil[/]" in terminal  # shown as it is, not obeyed
    markdown = render_markdown(page)
    assert "<script>" not in markdown
    assert re.search(r"(?<!\\)`", markdown) is None
    assert re.search(r"[^\\ ]\| <", markdown) is None


def test_a_hostile_line_cannot_leave_its_code_block() -> None:
    assert code_block("run `x` ```\n# not a heading") == ["````", "run `x` ``` # not a heading", "````"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("_emphasis_", "\\_emphasis\\_"),
        ("45 (38~52)", "45 (38\\~52)"),
        ("1. no list", "1\\. no list"),
        ("- no list", "\\- no list"),
        ("a & b", "a \\& b"),
    ],
)
def test_markdown_keeps_text_text(text: str, written: str) -> None:
    assert escape(text) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+82-2", "'+82-2"),
        ("-1+1", "'-1+1"),
        ("@cmd", "'@cmd"),
        ("\t=1", "'=1"),
        ("Qwen3-8B", "Qwen3-8B"),
        (-1, -1),
        (None, ""),
        (0, 0),
    ],
)
def test_no_csv_cell_is_a_formula(value: object, written: object) -> None:
    assert safe_cell(value) == written  # type: ignore[arg-type]


def test_csv_holds_one_row_a_model_with_bare_numbers() -> None:
    report = office_pc("ko")
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert len(rows) == len(report.models)
    first, line = rows[0], report.models[0]
    assert (first["host_name"], first["model"]) == ("office-7", line.id)
    assert int(first["total_bytes"]) == line.total_bytes
    assert first["verdict"] == line.verdict.value


def test_csv_of_a_check_holds_the_answer_and_its_alternatives() -> None:
    check = CHECKS["check_fits"]("en")
    rows = list(csv.DictReader(io.StringIO(estimates_csv((check, *check.alternatives), "office-7"))))
    assert [row["quantization"] for row in rows] == ["Q4_K_M", "Q4_K_M"]
    assert rows[0]["fits"] == "True"


def test_json_is_utf8_with_null_for_what_is_not_known() -> None:
    decoded = json.loads(render_json(office_pc("ko")))
    assert decoded["kind"] == "report"
    assert decoded["summary"]["largest_comfortable"] is None
    assert decoded["summary"]["headline"].startswith("이 PC에서는")


def test_a_check_that_does_not_fit_says_so_first_and_shows_no_speed() -> None:
    text = render_terminal(check_page(CHECKS["check_fails"]("en"), "en"), width=80)
    assert text.startswith("Llama-3.3-70B-Instruct Q4_K_M does not fit on this computer: it needs 42.1 GiB")
    assert "tok/s" not in text


def test_figures_without_a_value_say_unknown_and_never_zero() -> None:
    assert gib(None, "en") == "unknown"
    assert tokens_per_s(None, "ko") == "알 수 없음"
    assert bandwidth(None, "en") == "unknown"


def test_small_sizes_do_not_round_to_nothing() -> None:
    assert gib(20 * 1024**2, "en") == "20 MiB"
    assert gib(4096, "en") == "< 1 MiB"
    assert gib(0, "en") == "0.0 GiB"


def test_ranges_show_their_ends_and_exact_figures_do_not() -> None:
    assert tokens_per_s(Range(low=38, value=45, high=52, basis="fit"), "en") == "45 tok/s (38-52)"
    assert tokens_per_s(Range(low=45, value=45, high=45, basis="measured"), "ko") == "초당 45토큰"
    assert bandwidth(Range(low=17e9, value=30e9, high=41e9, basis="prior"), "en") == "30.0 GB/s (17.0-41.0)"


def test_active_parameters_stand_beside_the_total_of_a_mixture_only() -> None:
    assert params_pair(671_000_000_000, 37_000_000_000, "en") == "671B (37.0B active)"
    assert params_pair(8_030_000_000, 8_030_000_000, "en") == "8.0B"


def test_long_lists_of_names_are_cut_and_counted() -> None:
    lines = model_lines(3.35e12, 620e9)
    comfortable = [line for line in lines if line.verdict is Verdict.COMFORTABLE]
    listed = models_by_verdict(lines, "en").items[0]
    assert listed.text == f"comfortable ({len(comfortable)})"
    assert listed.lines[0].endswith(f"and {len(comfortable) - 12} more")


def test_cells_that_were_not_computed_stay_empty() -> None:
    cells = [cell for cell in size_map(34e9, 11e9) if (cell.size_class, cell.quantization) != ("8B", "4-bit")]
    rows = size_map_table(cells, "en").rows
    levels = [column.title for column in size_map_table(cells, "en").columns]
    eight = next(row for row in rows if row[0].text == "8B")
    assert eight[levels.index("4-bit")].text == "-"


def test_a_device_without_driver_is_shown_and_not_counted_as_gpu() -> None:
    page = render_terminal(scan_page(laptop("en").machine, "en"), width=120)
    assert "NVIDIA GeForce GTX 1060 3GB: " in page
    assert "2 × NVIDIA" not in page


def test_an_unknown_route_verdict_or_purpose_does_not_break_the_page() -> None:
    """A newer program may write words this one does not know."""
    report = office_pc("en")
    route = msgspec.structs.replace(report.summary.routes[0], verdict="splendid")
    pick = msgspec.structs.replace(report.recommendations[0], purpose="poetry")
    summary = msgspec.structs.replace(report.summary, routes=(route,))
    changed = msgspec.structs.replace(report, summary=summary, recommendations=(pick,))
    prophet = msgspec.structs.replace(
        changed, recommendations=(msgspec.structs.replace(pick, role="prophet"),)
    )
    assert "prophet" in render_terminal(report_page(prophet, "en"), width=80)
    changed = msgspec.structs.replace(changed, purposes=("poetry",))
    text = render_terminal(report_page(changed, "en"), width=80)
    assert "poetry" in text
    assert "[unknown] This PC" in text


def test_a_command_is_one_line_however_long() -> None:
    command = "llama-server " + " ".join(f"--option-{number} value" for number in range(20))
    page = Page(title="t", sections=(Section(title="s", blocks=(Command(command),)),))
    assert f"    {command}" in render_terminal(page, width=60).splitlines()
