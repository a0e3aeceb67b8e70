"""The page of `probe scan`: the places where models could lie."""

from pathlib import Path

import msgspec
import pytest

from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import Machine
from probe.render.markdown import render_markdown
from probe.render.scan_page import scan_page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return scan_machine(RecordedHost(ROOT / "tests/machines/linux-8x-h100-nvswitch"), deadline_s=30)


def test_memory_that_looks_like_a_folder_is_no_place_for_models(machine: Machine) -> None:
    """Recording linux-8x-h100-nvswitch: /dev/shm is a tmpfs, and stays in the JSON for vLLM's check."""
    kinds = {disk.path: disk.kind for disk in machine.disks}
    assert kinds["/dev/shm"] == "ram"
    page = render_markdown(scan_page(machine, "en"))
    assert "/dev/shm" not in page
    assert all(path in page for path, kind in kinds.items() if kind != "ram")


def test_no_heading_stands_over_nothing(machine: Machine) -> None:
    in_memory = tuple(disk for disk in machine.disks if disk.kind == "ram")
    only_memory = msgspec.structs.replace(machine, disks=in_memory)
    assert "Room for models" in render_markdown(scan_page(machine, "en"))
    assert "Room for models" not in render_markdown(scan_page(only_memory, "en"))
