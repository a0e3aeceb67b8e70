"""Machine files that no machine wrote: refused in one line, never computed with, never a crash."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.models import find_model
from probe.catalog.versions import at_least, version_key
from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.engines.vllm_budget import parse_capability
from probe.errors import InputError
from probe.machine import Machine
from probe.recommender.preflight.judge import Verdict, preflight
from probe.recommender.preflight.situation import Ask
from probe.report.encode import to_json
from probe.report.read import machine_from_json, read_bytes

RECORDINGS = Path(__file__).parent.parent / "machines"
GPU = {"name": "RTX 4090", "memory_total_bytes": 25_757_220_864}


def _machine(**parts: Any) -> dict[str, Any]:
    return {"kind": "machine", "accelerators": [GPU], "memory": {"total_bytes": 2**36}, **parts}


def _gpu(**parts: Any) -> dict[str, Any]:
    return _machine(accelerators=[{**GPU, **parts}])


IMPOSSIBLE = {
    "memory without speed": _machine(memory={"bandwidth_bytes_per_s": {"low": 0, "value": 0, "high": 0}}),
    "GPU without speed": _gpu(bandwidth_bytes_per_s=0),
    "GPU of endless speed": _gpu(bandwidth_bytes_per_s=1e308),
    "less than no bandwidth": _gpu(bandwidth_bytes_per_s={"low": -1, "value": 1, "high": 2, "basis": "read"}),
    "no cores": _machine(cpu={"usable_cores": 0}),
    "less than no cores": _machine(cpu={"physical_cores": -4}),
    "less than no channels": _machine(memory={"channels": -5}),
    "modules of negative size": _machine(memory={"modules": [{"size_bytes": -1}]}),
    "slices of negative size": _gpu(mig_slices=[{"index": 0, "memory_total_bytes": -5}]),
    "a GPU numbered below nothing": _gpu(index=-1),
    "a name of a million letters": _machine(host={"name": "N" * 1_000_000}),
    "a GPU's name of a million letters": _gpu(name="G" * 1_000_000),
    "an instruction set of a million letters": _machine(cpu={"isa": ["x" * 1_000_000]}),
    "a variable of a million letters": _machine(software={"environment": {"E" * 1_000_000: ""}}),
    "20,000 GPUs": _machine(accelerators=[{**GPU, "index": index} for index in range(20_000)]),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_machine_is_refused(name: str) -> None:
    with pytest.raises(InputError) as error:
        machine_from_json(IMPOSSIBLE[name], "machine.json")
    assert error.value.key == "reading.machine_impossible"
    assert len(str(error.value.facts["where"])) < 200


@pytest.mark.parametrize("recording", sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir()))
def test_what_probe_wrote_is_possible(recording: str) -> None:
    machine = enrich(scan_machine(RecordedHost(RECORDINGS / recording)))
    assert isinstance(machine_from_json(json.loads(to_json(machine)), recording), Machine)


@pytest.mark.parametrize(
    "parts",
    [
        {"host": {"os": {"family": "linux", "glibc": "9" * 4_000}, "python": "3.x"}},
        {"host": {"os": {"family": "linux", "glibc": "2.35"}, "python": "3." + "9" * 4_000}},
        {"nvidia": {"driver_version": "5" * 4_000}},
        {"accelerators": [{**GPU, "compute_capability": "8." + "9" * 4_000}]},
        {"accelerators": [{**GPU, "compute_capability": "\u00b2.\u00b3"}]},
    ],
)
def test_versions_without_end_are_not_known(parts: dict[str, Any]) -> None:
    machine = machine_from_json(_machine(**parts), "machine.json")
    made = preflight(enrich(machine), Ask(model=find_model("qwen3-8b")))
    assert made.verdict in {Verdict.CANNOT_TELL, Verdict.NOT_READY}


def test_numbers_of_more_than_eighteen_digits_are_no_version() -> None:
    assert version_key("1" * 19) == ()
    assert at_least("9" * 19, "580") is None
    assert parse_capability("8.9") == (8, 9)
    assert parse_capability("\uff18.\uff19") is None


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="only Linux's administrator may read it")
def test_file_that_waits_for_the_kernel_is_not_waited_for() -> None:
    try:
        assert len(read_bytes(Path("/proc/kmsg"))) >= 0
    except InputError as error:
        assert error.key == "reading.file_unreadable"
