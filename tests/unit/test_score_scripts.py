"""The scorers on files as people hand them over: saved by a spreadsheet, with gaps, errors and strangers."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts import score_memory, score_speed, score_vllm

ROOT = Path(__file__).resolve().parents[2]
TRUTH = ROOT / "tests" / "truth"
ARCH = ("--arch", str(TRUTH / "llamacpp_arch.jsonl"))
MODELS = ("--models", str(TRUTH / "vllm_models.jsonl"))
Rows = list[dict[str, str]]


class Scorer(NamedTuple):
    """One script, and what it needs beside the file."""

    main: Callable[[], int]
    options: tuple[str, ...]
    name: str


MEMORY = Scorer(score_memory.main, ARCH, "memory")
VLLM = Scorer(score_vllm.main, MODELS, "vllm")
SPEED = Scorer(score_speed.main, (), "speed")
ALL = [MEMORY, VLLM, SPEED]


class Outcome(NamedTuple):
    """What a run printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@cache
def rows_of(name: str) -> Rows:
    """A few measured rows, the same in every run."""
    path, step = {
        "memory": (TRUTH / "llamacpp_memory.csv.gz", 211),
        "vllm": (TRUTH / "vllm_kv.csv.gz", 1999),
        "speed": (ROOT / "catalogs" / "benchmarks" / "speed.csv", 97),
    }[name]
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))[::step]


def save(path: Path, rows: Rows, *, encoding: str = "utf-8", end: str = "\n") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a scorer on a file."""

    def call(scorer: Scorer, path: Path, *arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["score", str(path), *scorer.options, *arguments])
        try:
            code = scorer.main()
        except SystemExit as ended:
            code = int(str(ended.code))
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.mark.parametrize("scorer", ALL)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_saved_by_a_spreadsheet_scores_the_same(
    scorer: Scorer, encoding: str, tmp_path: Path, run: Run
) -> None:
    rows = rows_of(scorer.name)
    plain = save(tmp_path / "plain.csv", rows)
    marked = save(tmp_path / "marked.csv", rows, encoding=encoding, end="\r\n")
    assert run(scorer, marked, "--json") == run(scorer, plain, "--json")


@pytest.mark.parametrize("scorer", ALL)
def test_what_is_no_such_file_is_refused_in_one_line(scorer: Scorer, tmp_path: Path, run: Run) -> None:
    """Exit 1 would say that targets were missed."""
    empty = tmp_path / "empty.csv"
    empty.touch()
    column = "model_id" if scorer is VLLM else "model"
    rows = [{k: v for k, v in row.items() if k != column} for row in rows_of(scorer.name)]
    lacking = save(tmp_path / "lacking.csv", rows)
    for path in (empty, lacking, tmp_path, tmp_path / "none.csv"):
        found = run(scorer, path)
        assert (found.code, found.out) == (2, "")
        assert path.name in found.err
    assert f"no column {column}" in run(scorer, lacking).err


@pytest.mark.parametrize("scorer", ALL)
def test_figures_are_predicted_without_reading_the_measured_ones(
    scorer: Scorer, tmp_path: Path, run: Run
) -> None:
    measured = {
        "memory": ("model_buffer_mib", "kv_mib", "rs_mib", "compute_mib", "host_mib", "rss_mib"),
        "speed": ("pp_tok_s", "tg_tok_s"),
        "vllm": (*score_vllm.SCORED, *score_vllm.FURTHER[:5]),
    }[scorer.name]
    rows = list(rows_of(scorer.name))
    # A second run of the same thing, told apart by its result alone, and one written down twice.
    rows += [dict(rows[-1], tg_tok_s="1"), dict(rows[-1])] if scorer is SPEED else []
    blank = [{k: "" if k in measured else v for k, v in row.items()} for row in rows]
    found: list[Rows] = []
    for number, kind in enumerate((rows, blank)):
        out = tmp_path / f"out{number}.csv"
        run(scorer, save(tmp_path / f"in{number}.csv", kind), "--predict", str(out))
        with out.open(encoding="utf-8", newline="") as stream:
            found.append(list(csv.DictReader(stream)))
    ours = [[{k: v for k, v in row.items() if k.startswith("our_")} for row in rows] for rows in found]
    assert len(ours[0]) == len(rows)
    assert ours[0] == ours[1]
    assert sum(any(row.values()) for row in ours[0]) > len(rows) // 2


def test_rows_of_memory_that_cannot_be_placed_are_listed(tmp_path: Path, run: Run) -> None:
    rows = [dict(row) for row in rows_of("memory")[:4]]
    rows[0]["model"], rows[1]["n_ctx"], rows[2]["quant"] = "No-Such-7B", "many", "Q9_Z"
    rows[3]["kv_mib"] = "n/a"
    found = run(MEMORY, save(tmp_path / "rows.csv", rows), "--json")
    unplaced = json.loads(found.out)["unplaced"]
    assert found.code == 1
    assert [entry["row"] for entry in unplaced] == ["2", "3", "4", "5"]
    assert "n_ctx: no number above 0: 'many'" in unplaced[1]["reason"]
    assert "kv_mib: no number: 'n/a'" in unplaced[3]["reason"]


def test_plans_that_cannot_be_made_are_listed_and_the_others_scored(tmp_path: Path, run: Run) -> None:
    rows = [dict(row) for row in rows_of("vllm")[:4]]
    rows[0]["model_id"], rows[1]["tp"], rows[2]["gpu_class"] = "no/such", "two", "a large one"
    found = run(VLLM, save(tmp_path / "rows.csv", rows), "--json")
    result = json.loads(found.out)
    assert found.code == 1
    assert (result["rows"], result["equal"], result["mismatches"]) == (4, 1, [])
    assert [entry["line"] for entry in result["unplaced"]] == [2, 3, 4]


def test_speeds_that_cannot_be_placed_are_listed(tmp_path: Path, run: Run) -> None:
    rows = [dict(row) for row in rows_of("speed")[:3]]
    rows[0]["device"], rows[1]["model"], rows[2]["quant"] = "Quantum GPU 9000", "No-Such-13B", "Q9_Z"
    found = run(SPEED, save(tmp_path / "rows.csv", rows), "--json")
    unplaced = json.loads(found.out)["unplaced"]
    assert [entry["line"] for entry in unplaced] == [2, 3, 4]
    assert [entry["reason"].partition(":")[0] for entry in unplaced] == ["device", "model", "quantization"]
