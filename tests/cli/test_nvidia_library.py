"""A real shared library in place of NVIDIA's, found by the real loader, seen through the program.

The system's compiler builds tests/fakes/nvml_stub.c once.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import ROOT, Outcome, run_probe
from tests.fakes.patience import not_held_up

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(
    COMPILER is None or not sys.platform.startswith("linux"), reason="needs a C compiler and Linux's loader"
)


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libnvidia-ml.so.1 for LD_LIBRARY_PATH."""
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run(
        [
            str(COMPILER),
            "-shared",
            "-fPIC",
            "-Wl,-soname,libnvidia-ml.so.1",
            "-o",
            str(folder / "libnvidia-ml.so.1"),
            str(ROOT / "tests/fakes/nvml_stub.c"),
        ],
        check=True,
    )
    return folder


def scan(library_folder: Path, folder: Path, **environment: str) -> tuple[Outcome, dict[str, Any]]:
    outcome = run_probe("scan", "--json", folder=folder, LD_LIBRARY_PATH=str(library_folder), **environment)
    assert outcome.code == 0, outcome.talk
    machine: dict[str, Any] = json.loads(outcome.text)
    return outcome, machine


def cards_of(machine: dict[str, Any]) -> list[dict[str, Any]]:
    """The library's cards; the computer that runs the tests may have others."""
    addresses = ("0000:e1:00.0", "0000:e2:00.0")
    return [device for device in machine["accelerators"] if device.get("pci_address") in addresses]


def nvml_attempt(machine: dict[str, Any]) -> dict[str, Any]:
    attempt: dict[str, Any] = next(row for row in machine["attempts"] if row["source"] == "nvml")
    return attempt


def test_card_behind_the_real_loader(library_folder: Path, tmp_path: Path) -> None:
    _, machine = scan(library_folder, tmp_path)
    (card,) = cards_of(machine)
    assert (card["name"], card["state"]) == ("NVIDIA GeForce RTX 3060", "usable")
    assert card["memory_total_bytes"] == 12288 * 1024**2
    assert card["memory_reserved_bytes"] == 250 * 1024**2
    assert card["bandwidth_bytes_per_s"]["value"] == pytest.approx(360e9, rel=0.001)
    assert machine["nvidia"]["cuda_driver_version"] == "13.0"


@pytest.mark.parametrize(
    ("init", "result", "told"),
    [
        ("4", "denied", "NoPermission (4)"),
        ("9", "failed", "DriverNotLoaded (9)"),
        ("12", "absent", "LibraryNotFound (12)"),
        ("17", "denied", "OperatingSystem (17)"),
        ("18", "failed", "LibRmVersionMismatch (18)"),
        ("999", "failed", "Unknown (999)"),
    ],
)
def test_scan_answers_whatever_the_library_says(
    library_folder: Path, tmp_path: Path, init: str, result: str, told: str
) -> None:
    _, machine = scan(library_folder, tmp_path, NVML_STUB_INIT=init)
    attempt = nvml_attempt(machine)
    assert attempt["result"] == result
    assert told in attempt["detail"]
    assert machine["cpu"]["usable_cores"] >= 1
    assert machine["memory"]["total_bytes"] > 0


@pytest.mark.parametrize(
    ("environment", "finding"),
    [
        ({"NVML_STUB_INIT": "4"}, "device.no_permission"),
        ({"NVML_STUB_INIT": "17"}, "device.blocked_by_system"),
        ({"NVML_STUB_INIT": "18"}, "device.driver_mismatch"),
        ({"NVML_STUB_MODE": "lost"}, "device.gpu_lost"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "device.hidden_by_mask"),
    ],
)
def test_doctor_names_the_cause_and_the_fix(
    library_folder: Path, tmp_path: Path, environment: dict[str, str], finding: str
) -> None:
    outcome = run_probe(
        "doctor", "--json", folder=tmp_path, LD_LIBRARY_PATH=str(library_folder), **environment
    )
    findings = {row["id"]: row for row in json.loads(outcome.text)["findings"]}
    assert finding in findings
    for part in ("title", "evidence", "detail", "fix"):
        assert len(findings[finding][part]) > 10


def test_card_lost_in_the_middle(library_folder: Path, tmp_path: Path) -> None:
    _, machine = scan(library_folder, tmp_path, NVML_STUB_MODE="lost")
    cards = [(card["state"], card["state_reason"]) for card in cards_of(machine)]
    assert cards == [("usable", None), ("unusable", "gpu_lost")]


def test_getter_that_never_returns_costs_five_seconds_and_no_card(
    library_folder: Path, tmp_path: Path
) -> None:
    with not_held_up(5):
        _, machine = scan(library_folder, tmp_path, NVML_STUB_MODE="hang")
    assert nvml_attempt(machine)["result"] == "timeout"
    (card,) = cards_of(machine)
    assert (card["name"], card["state_reason"]) == ("NVIDIA GeForce RTX 3060", "nvml_timeout")


def test_damaged_library_is_not_a_missing_one(tmp_path: Path) -> None:
    """The bindings turn both into "not found"."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "libnvidia-ml.so.1").write_bytes(b"\x7fELF, but cut off")
    _, machine = scan(folder, tmp_path)
    attempt = nvml_attempt(machine)
    assert (attempt["result"], attempt["code"]) == ("failed", "library_broken")


def test_mask_hides_the_card_from_cuda_programs(library_folder: Path, tmp_path: Path) -> None:
    _, machine = scan(library_folder, tmp_path, CUDA_VISIBLE_DEVICES="")
    assert [card["state_reason"] for card in cards_of(machine)] == ["hidden_by_mask"]
