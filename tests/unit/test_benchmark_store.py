"""Measurements are kept whole, replaced by newer ones, and go stale with the hardware."""

from pathlib import Path

import msgspec

from probe.benchmark.store import fingerprint, load_measurements, save_measurements, stale_measurements
from probe.catalog.from_spec import from_spec
from probe.machine.description import Measurement


def measured(of: str, value: float, at: str = "2026-11-21T10:00:00Z") -> Measurement:
    return Measurement(
        what="ram_read_bytes_per_s", low=value, value=value, high=value, unit="bytes/s", at=at, fingerprint=of
    )


def test_a_newer_measurement_replaces_the_older(tmp_path: Path) -> None:
    mark = fingerprint(from_spec("Core i5-8500; 16GB DDR4-2666 x1"))
    save_measurements(tmp_path, [measured(mark, 1e10)])
    save_measurements(tmp_path, [measured(mark, 2e10, "2026-11-22T10:00:00Z")])
    assert [entry.value for entry in load_measurements(tmp_path, mark)] == [2e10]


def test_another_memory_size_makes_measurements_stale(tmp_path: Path) -> None:
    before = from_spec("Core i5-8500; 16GB DDR4-2666 x1")
    after = from_spec("Core i5-8500; 32GB DDR4-2666 x2")
    save_measurements(tmp_path, [measured(fingerprint(before), 1e10)])
    assert load_measurements(tmp_path, fingerprint(after)) == ()
    assert len(stale_measurements(tmp_path, fingerprint(after))) == 1


def test_a_driver_update_changes_the_fingerprint() -> None:
    machine = from_spec("RTX 4090")
    card = msgspec.structs.replace(machine.accelerators[0], driver_version="580.95.05")
    updated = msgspec.structs.replace(machine, accelerators=(card,))
    assert fingerprint(machine) != fingerprint(updated)


def test_a_damaged_file_is_no_measurement(tmp_path: Path) -> None:
    mark = fingerprint(from_spec("RTX 4090"))
    path = save_measurements(tmp_path, [measured(mark, 1e10)])
    path.write_bytes(path.read_bytes()[:20])
    assert load_measurements(tmp_path, mark) == ()
