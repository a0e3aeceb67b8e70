"""Every folder of tests/machines through the whole pipeline: scan, catalog, report, pages."""

import json
from functools import cache
from pathlib import Path

import jsonschema
import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.collectors.host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import AcceleratorKind, AcceleratorState, Machine
from probe.machine.redact import redact
from probe.recommender.answer import Verdict
from probe.recommender.options import Options
from probe.recommender.pools import machine_pools
from probe.render.findings import doctor_page
from probe.render.markdown import render_markdown
from probe.render.report_page import report_page
from probe.render.scan_page import scan_page
from probe.render.terminal import render_terminal
from probe.report.build import build_doctor, build_report
from probe.report.documents import ReportDocument
from probe.report.encode import to_json

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "machines"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/recording.json"))
FAMILIES = ("linux-", "docker-", "slurm-", "wsl2-", "windows-", "macos-")


@cache
def machine(name: str) -> Machine:
    return enrich(scan_machine(RecordedHost(FOLDER / name), deadline_s=30))


@cache
def schema() -> object:
    return json.loads((ROOT / "reports" / "schema" / "report-1.json").read_text(encoding="utf-8"))


def report(name: str, lang: str) -> ReportDocument:
    return build_report(machine(name), Options(), lang=lang, created_at="2026-11-21T00:00:00Z")


def test_every_family_of_machines_is_there() -> None:
    assert len(NAMES) >= 40
    assert {next((family for family in FAMILIES if name.startswith(family)), name) for name in NAMES} == set(
        FAMILIES
    )
    assert sum(name.startswith("macos-") for name in NAMES) >= 5
    assert sum(name.startswith("windows-") for name in NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_machine_becomes_a_report_and_pages(name: str) -> None:
    """Korean here: what a console in code page 949 cannot show would stop the page there."""
    document = report(name, "ko")
    raw = to_json(document)
    assert msgspec.json.decode(raw, type=ReportDocument).models == document.models
    if name in NAMES[::10]:  # the schema is the same, and checking it takes as long as the report
        jsonschema.validate(json.loads(raw), schema())
    assert document.summary.headline
    assert document.models
    pages = (
        report_page(document, "ko", verbose=True),
        scan_page(document.machine, "ko", verbose=True),
        doctor_page(document.findings, redact(machine(name), show_host_name=False), "ko"),
    )
    for page in pages:
        shown = render_terminal(page) + render_markdown(page)
        # What the machine itself is called may hold anything; consoles replace it. Our words may not.
        foreign = {letter for letter in shown if not letter.encode("cp949", "ignore")}
        assert not foreign
        assert "None" not in shown


@pytest.mark.parametrize("name", NAMES)
def test_doctor_can_be_pasted_in_public(name: str) -> None:
    found = machine(name)
    findings = build_doctor(found, lang="en").findings
    page = render_markdown(doctor_page(findings, redact(found, show_host_name=False), "en"))
    for device in found.accelerators:
        assert device.uuid is None or device.uuid not in page
    if found.host.id:
        assert found.host.id not in page
    assert "probe " in page
    for finding in findings:
        assert finding.fix.split("`")[0].strip()[:20] in page.replace("\\", "")


@pytest.mark.parametrize("name", NAMES)
def test_only_working_gpus_are_counted(name: str) -> None:
    """NPUs and cards add no memory, office GPUs none of their own, broken cards nothing."""
    found = machine(name)
    pools = machine_pools(found)
    computing = {
        f"gpu{device.index}"
        for device in found.accelerators
        if device.kind in (AcceleratorKind.DISCRETE, AcceleratorKind.UNIFIED)
        and device.state is AcceleratorState.USABLE
    }
    assert {pool.device for pool in pools.gpus} == computing
    ram = found.memory.total_bytes or 0
    for pool in pools.gpus:
        own = pool.accelerator.memory_dedicated_bytes or 0 if pool.accelerator else 0
        if pool.in_ram and pool.capacity_bytes is not None:
            assert pool.capacity_bytes <= ram + own
    for device in found.accelerators:
        if device.kind in (AcceleratorKind.NPU, AcceleratorKind.CARD):
            assert device.software_note is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        # Same hardware in words: what is read must lead to the same sizes as what is typed.
        ("linux-rx7900xtx-x4-slot", "RX 7900 XTX; Ryzen 7 7700X; 64GB DDR5-5200 x2; ubuntu"),
        ("linux-arc-b580-xe", "Arc B580; Ryzen 5 7600; 32GB DDR5-5200 x2; ubuntu"),
        ("macos-m1-8gb", "M1 8GB"),
        ("macos-m3-ultra-512gb", "M3 Ultra 512GB"),
        ("linux-strix-halo-gtt-96gib", "Ryzen AI Max+ 395; 128GB LPDDR5X-8000; fedora"),
    ],
)
def test_scanned_and_typed_machines_agree(name: str, words: str) -> None:
    from probe.catalog.from_spec import from_spec
    from probe.recommender.size_map import size_map

    scanned, typed = machine(name), from_spec(words)
    cells = zip(size_map(scanned, Options()), size_map(typed, Options()), strict=True)
    order = list(Verdict)
    apart = [
        (ours.size_class, ours.quantization, ours.answer.verdict, other.answer.verdict)
        for ours, other in cells
        if abs(order.index(ours.answer.verdict) - order.index(other.answer.verdict)) > 1
    ]
    assert apart == []
