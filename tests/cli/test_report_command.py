"""`probe`: the whole report, in both languages and every format, from one set of figures."""

import csv
import io
import json
import re
from functools import cache
from pathlib import Path

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.recommender.options import Options
from probe.render.csv import report_csv
from probe.render.markdown import escape, render_markdown
from probe.render.report_page import report_page
from probe.render.terminal import render_terminal
from probe.report.build import build_report
from probe.report.documents import ReportDocument
from tests.cli.program import run_probe

MACHINES = {
    "no GPU": "Core i5-8500; 16GB DDR4-2666 x1; windows 11",
    "one GPU": "RTX 4090; 64GB DDR5-5600 x2",
    "eight GPUs": "8x H100 80GB SXM; 2x EPYC 9554; 1024GB DDR5-4800 x24",
}
VERDICTS = {
    "ko": "쾌적|사용 가능|가능|느림|불가|알 수 없음|모름",
    "en": r"comfortable|comfort|usable|slow|no|unknown|\?",
}


@cache
def report_of(machine: str, lang: str) -> ReportDocument:
    found = enrich(from_spec(MACHINES[machine]))
    return build_report(found, Options(), lang=lang, created_at="2026-11-21T09:00:00Z")


@pytest.mark.parametrize("machine", sorted(MACHINES))
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_map_is_whole_at_every_width(machine: str, lang: str) -> None:
    for width in (60, 80, 120):
        page = render_terminal(report_page(report_of(machine, lang), lang), width=width)
        rows = re.findall(rf"^\d+B(?: MoE)? +(?:{VERDICTS[lang]}).*$", page, flags=re.MULTILINE)
        assert len(rows) == 10
        assert all(len(re.findall(rf"(?:{VERDICTS[lang]})(?= |$)", row)) >= 4 for row in rows)
        assert "…" not in page
        assert page.encode("cp949")


def test_both_languages_show_the_same_figures() -> None:
    korean, english = (report_of("one GPU", lang) for lang in ("ko", "en"))
    assert korean.size_map == english.size_map
    assert korean.models == english.models
    assert korean.summary.headline != english.summary.headline


def test_markdown_and_csv_agree_with_the_document() -> None:
    report = report_of("one GPU", "en")
    assert escape(report.summary.headline) in render_markdown(report_page(report, "en"))
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert [row["model"] for row in rows] == [line.id for line in report.models]
    assert [int(row["total_bytes"] or 0) for row in rows] == [line.total_bytes or 0 for line in report.models]


def test_a_report_of_this_machine_is_printed_in_the_systems_language(tmp_path: Path) -> None:
    outcome = run_probe(folder=tmp_path, LANG="ko_KR.UTF-8", COLUMNS="80")
    assert (outcome.code, outcome.talk) == (0, "")
    assert "성능을 결정하는 것" in outcome.text
    assert "숫자의 근거" in outcome.text


def test_a_report_can_be_read_back_and_answers_the_same(tmp_path: Path) -> None:
    asked = ("--as", MACHINES["no GPU"], "--for", "Coding,korean")
    assert run_probe(*asked, "--output", "report.json", folder=tmp_path).code == 0
    first = json.loads((tmp_path / "report.json").read_bytes())
    again = json.loads(
        run_probe("--machine", "report.json", "--for", "coding,korean", "--json", folder=tmp_path).stdout
    )
    for part in ("size_map", "models", "summary", "recommendations"):
        assert again[part] == first[part]
    assert {pick["purpose"] for pick in first["recommendations"]} <= {"coding", "korean"}


def test_doctor_tells_findings_and_ends_with_0(tmp_path: Path) -> None:
    outcome = run_probe("doctor", "--as", MACHINES["no GPU"], "--json", folder=tmp_path)
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["kind"] == "doctor"
