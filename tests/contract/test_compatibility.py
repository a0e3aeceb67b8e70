"""What version 1 of the documents has promised stays: old files are read, no property goes or changes.

tests/contract/schema_1/ holds documents as version 0.1.0 wrote them (long lists cut) and the
shape of the schemas it published. These files are never edited; the rule is in
reports/schema/README.md.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from probe.fleet.scan import scan_folder
from probe.report.documents import ReportDocument
from probe.report.read import read_machine, read_report
from scripts.release.schema_shape import FROZEN, broken_promises, published

FOLDER = FROZEN.parent
KINDS = sorted(path.stem for path in FOLDER.glob("*.json") if path != FROZEN)


def schema_of(kind: str) -> dict[str, Any]:
    """Today's schema; what was added since may be missing in an old document."""
    text = (Path(FROZEN.parents[3]) / f"reports/schema/{kind}-1.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    for definition in schema["$defs"].values():
        definition.pop("required", None)
    return schema


def test_nothing_published_is_gone_or_of_another_type() -> None:
    assert broken_promises(json.loads(FROZEN.read_text(encoding="utf-8")), published()) == []


def test_every_published_document_has_a_sample() -> None:
    assert set(json.loads(FROZEN.read_text(encoding="utf-8"))) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_old_document_obeys_the_schema_of_today(kind: str) -> None:
    document = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    assert (document["kind"], document["schema_version"]) == (kind, "1.0")
    jsonschema.validate(document, schema_of(kind))


def test_old_report_and_machine_are_read() -> None:
    report = read_report(FOLDER / "report.json")
    assert isinstance(report, ReportDocument)
    assert report.machine.cpu.brand == "Intel Core i5-8500"
    assert read_machine(FOLDER / "report.json").memory.total_bytes == report.machine.memory.total_bytes
    names = [device.name for device in read_machine(FOLDER / "machine.json").accelerators]
    assert names == ["NVIDIA GeForce RTX 3060"] * 2


def test_fleet_counts_an_old_report(tmp_path: Path) -> None:
    (tmp_path / "member.json").write_bytes((FOLDER / "report.json").read_bytes())
    scan = scan_folder(tmp_path)
    assert (len(scan.members), len(scan.unreadable)) == (1, 0)


BEFORE = {"report": {"": "object", "rows[].name": "null|string", "verdict": "string|word:no|word:slow"}}


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        ({**BEFORE["report"], "rows[].added": "integer"}, ""),
        ({**BEFORE["report"], "verdict": "string|word:no|word:slow|word:usable"}, ""),
        ({"": "object", "verdict": "string|word:no|word:slow"}, "report: rows[].name is gone"),
        (
            {**BEFORE["report"], "rows[].name": "integer|null"},
            "report: rows[].name was null|string and is integer|null",
        ),
        (
            {**BEFORE["report"], "rows[].name": "string"},
            "report: rows[].name was null|string and is string",
        ),
        (
            {**BEFORE["report"], "verdict": "string|word:no"},
            "report: verdict was string|word:no|word:slow and is string|word:no",
        ),
    ],
)
def test_what_counts_as_a_broken_promise(now: dict[str, str], problem: str) -> None:
    assert broken_promises(BEFORE, {"report": now}) == ([problem] if problem else [])


def test_a_lost_document_is_a_broken_promise() -> None:
    assert broken_promises(BEFORE, {}) == ["report: the document is gone"]
