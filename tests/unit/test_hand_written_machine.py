"""Machines that a person wrote with only the fields that matter: names as people say them."""

import json
from pathlib import Path

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.errors import InputError
from probe.machine import Machine
from probe.report.encode import to_json
from probe.report.read import read_machine
from probe.units import GIB, MIB


def read(folder: Path, text: object) -> Machine:
    path = folder / "machine.json"
    path.write_text(json.dumps(text), encoding="utf-8")
    return read_machine(path)


@pytest.mark.parametrize(
    ("device", "name", "memory_bytes"),
    [
        ({"name": "RTX 4090"}, "NVIDIA GeForce RTX 4090", 24564 * MIB),
        ({"name": "지포스 RTX 3090"}, "NVIDIA GeForce RTX 3090", 24 * GIB),
        ({"name": "RTX 3060", "memory_total_bytes": 12 * GIB}, "NVIDIA GeForce RTX 3060", 12 * GIB),
        ({"name": "RX 7900 XTX"}, "AMD Radeon RX 7900 XTX", 24 * GIB),
        # What was written stays, also where it is not what the board is sold with.
        ({"name": "RTX 4090", "memory_total_bytes": 48 * GIB}, "NVIDIA GeForce RTX 4090", 48 * GIB),
    ],
)
def test_a_gpu_may_be_named_as_people_say_it(
    tmp_path: Path, device: dict[str, object], name: str, memory_bytes: int
) -> None:
    (found,) = read(tmp_path, {"accelerators": [device]}).accelerators
    assert (found.name, found.memory_total_bytes) == (name, memory_bytes)


@pytest.mark.parametrize("name", ["RTX 3060", "Mystery 9000", "2x RTX 4090", ""])
def test_what_means_no_board_or_several_stays_unknown(tmp_path: Path, name: str) -> None:
    (found,) = read(tmp_path, {"accelerators": [{"name": name}]}).accelerators
    assert (found.name, found.memory_total_bytes) == (name, None)


def test_filled_memory_is_marked_as_the_catalogs(tmp_path: Path) -> None:
    machine = read(tmp_path, {"accelerators": [{"name": "RTX 4090"}]})
    assert machine.provenance["/accelerators/0/memory_total_bytes"].kind == "catalog"
    assert enrich(machine).accelerators[0].bandwidth_bytes_per_s is not None


def test_a_scan_is_never_read_loosely(tmp_path: Path) -> None:
    """A driver that prints `RTX 3060 Laptop GPU` or nothing of its memory said just that."""
    scanned = from_spec("RTX 4090")
    device = msgspec.structs.replace(scanned.accelerators[0], name="RTX 4090", memory_total_bytes=None)
    machine = msgspec.structs.replace(scanned, accelerators=(device,))
    document = json.loads(to_json(machine))
    assert read(tmp_path, document).accelerators == (device,)


@pytest.mark.parametrize("version", ["1.0", "1.7", 1.0, 1])
def test_the_version_may_be_written_as_a_number(tmp_path: Path, version: object) -> None:
    machine = read(tmp_path, {"schema_version": version, "memory": {"total_bytes": 16 * GIB}})
    assert machine.memory.total_bytes == 16 * GIB


@pytest.mark.parametrize(
    ("version", "key"), [("1.0", "reading.machine_malformed"), ("1.9", "reading.schema_newer")]
)
def test_a_word_of_a_newer_version_asks_for_an_update(tmp_path: Path, version: str, key: str) -> None:
    """Lists of words may grow within version 1; `does not describe a machine` blamed the file."""
    with pytest.raises(InputError) as refused:
        read(tmp_path, {"schema_version": version, "host": {"os": {"family": "plan9"}}})
    assert refused.value.key == key
