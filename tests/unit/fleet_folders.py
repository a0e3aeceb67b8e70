"""Folders of real reports for the tests of the group's page, varied by name, id, date and edits."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.recommender.options import Options
from probe.report.build import build_report
from probe.report.documents import ReportDocument
from probe.report.encode import to_json

OFFICE_PC = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"
SERVER = "2x Tesla P100 12GB; Xeon E5-2690 v4; 128GB DDR4-2400 x4; ubuntu 22.04"
DAY_S = 86400.0
NOW_S = 1_795_255_200.0  # 2026-11-21T10:00:00Z


@cache
def report_of(spec: str, lang: str = "en") -> ReportDocument:
    machine = enrich(from_spec(spec))
    return build_report(machine, Options(), lang=lang, created_at="2026-11-20T09:00:00Z")


def report_as(
    spec: str,
    *,
    name: str | None,
    host_id: str | None = None,
    created_at: str = "2026-11-20T09:00:00Z",
    api_url: str | None = None,
) -> ReportDocument:
    report = report_of(spec)
    host = msgspec.structs.replace(report.machine.host, name=name, id=host_id)
    machine = msgspec.structs.replace(report.machine, host=host)
    return msgspec.structs.replace(report, machine=machine, created_at=created_at, api_url=api_url)


def put(folder: Path, path: str, report: ReportDocument, *, pretty: bool = False) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(to_json(report, pretty=pretty))


def edited(report: ReportDocument, changes: Mapping[str, Any]) -> bytes:
    """The report's JSON with members replaced, as an editor or another program would leave it."""
    document = msgspec.json.decode(to_json(report))
    for pointer, value in changes.items():
        *parents, last = pointer.split("/")
        node = document
        for step in parents:
            node = node[int(step)] if isinstance(node, list) else node[step]
        node[int(last) if isinstance(node, list) else last] = value
    return msgspec.json.encode(document)
