"""Every folder of tests/machines, replayed through the whole scan."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.collectors.host import RecordedHost
from probe.collectors.run import scan_machine
from probe.collectors.state_codes import STATES
from probe.machine import AcceleratorState, AttemptResult, HostOrigin, Machine
from probe.machine.redact import PUBLIC_UUIDS
from probe.messages import has

FOLDER = Path(__file__).parents[1] / "machines"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/recording.json"))


@cache
def machine(name: str) -> Machine:
    return scan_machine(RecordedHost(FOLDER / name), deadline_s=30)


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(machine(name)))
    return found


def at(value: Any, pointer: str) -> Any:
    """The value at a JSON pointer; `/attempt/SOURCE` and `/count/LIST` are shortcuts."""
    head, _, rest = pointer.lstrip("/").partition("/")
    if head == "attempt":
        row = next(row for row in value["attempts"] if row["source"] == rest)
        return [row["result"], row["code"], row["detail"]]
    if head == "count":
        return len(value[rest])
    for part in pointer.lstrip("/").split("/"):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def test_there_are_machines() -> None:
    assert len(NAMES) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_machine_reads_as_its_author_expects(name: str) -> None:
    """`expected.json` is written by the person who made the folder, by hand."""
    expected = json.loads((FOLDER / name / "expected.json").read_text(encoding="utf-8"))
    found = document(name)
    read = {pointer: at(found, pointer) for pointer in expected}
    assert read == {
        pointer: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        for pointer, value in expected.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_recording_says_where_it_comes_from(name: str) -> None:
    about = RecordedHost(FOLDER / name).about
    assert about["source"] in ("recorded", "constructed")
    assert len(about["text"]) > 20


@pytest.mark.parametrize("name", NAMES)
def test_replay_is_the_same_every_time(name: str) -> None:
    again = scan_machine(RecordedHost(FOLDER / name), deadline_s=30)
    assert msgspec.json.encode(again) == msgspec.json.encode(machine(name))
    assert again.host.origin is HostOrigin.RECORDING


@pytest.mark.parametrize("name", NAMES)
def test_machine_survives_its_json(name: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(machine(name)), type=Machine) == machine(name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_hangs_or_breaks(name: str) -> None:
    results = {attempt.source: attempt.result for attempt in machine(name).attempts}
    assert AttemptResult.TIMEOUT not in results.values()
    assert not [attempt for attempt in machine(name).attempts if attempt.code == "collector_failed"]


@pytest.mark.parametrize("name", NAMES)
def test_figures_agree_with_each_other(name: str) -> None:
    found = machine(name)
    memory, cpu = found.memory, found.cpu
    assert memory.total_bytes is not None
    assert (memory.available_bytes or 0) <= memory.total_bytes
    assert 1 <= (cpu.usable_cores or 0) <= (cpu.logical_cores or 0)
    assert [device.index for device in found.accelerators] == list(range(len(found.accelerators)))
    addresses = [device.pci_address for device in found.accelerators if device.pci_address]
    assert len(addresses) == len(set(addresses))
    ends = {"cpu", *(f"gpu{device.index}" for device in found.accelerators)}
    assert {end for link in found.links for end in (link.a, link.b)} <= ends


@pytest.mark.parametrize("name", NAMES)
def test_one_pool_is_counted_once(name: str) -> None:
    found = machine(name)
    for device in found.accelerators:
        if device.memory_shared and device.memory_total_bytes is not None:
            # What firmware set aside for a GPU is no part of the RAM that the system counts.
            own = device.memory_dedicated_bytes or 0
            assert device.memory_total_bytes - own <= (found.memory.total_bytes or 0)
        if device.memory_total_bytes is not None:
            assert (device.memory_free_bytes or 0) <= device.memory_total_bytes


@pytest.mark.parametrize("name", NAMES)
def test_every_state_has_its_sentence_and_fix(name: str) -> None:
    found = machine(name)
    codes = {device.state_reason for device in found.accelerators} | {
        attempt.code for attempt in found.attempts
    }
    for code in codes - {None}:
        for lang in ("en", "ko"):
            assert has(f"states.{code}.sentence", lang)
            assert has(f"states.{code}.fix", lang)


@pytest.mark.parametrize("code", sorted({*STATES, *(state.value for state in AcceleratorState)} - {"usable"}))
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_page_can_say_every_state(code: str, lang: str) -> None:
    for part in ("title", "sentence", "evidence", "detail", "fix"):
        assert has(f"states.{code}.{part}", lang), part


_SECRETS = {
    "UUID": re.compile(
        r"\b(?!00000000-0000-0000)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    ),
    "MAC address": re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"),
    "home folder": re.compile(r"/home/(?!user\b|kubernetes\b)\w+|/Users/(?!user\b|Shared\b)\w+"),
    "IP address": re.compile(r"\b(?!127\.|0\.|255\.)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/\d|addr=\d"),
}


@pytest.mark.parametrize("name", NAMES)
def test_recording_names_nobody(name: str) -> None:
    for path in (FOLDER / name).glob("*.json"):
        text = path.read_text(encoding="utf-8").lower()
        for what, pattern in _SECRETS.items():
            found = next((hit for hit in pattern.finditer(text) if hit[0] not in PUBLIC_UUIDS), None)
            assert found is None, f"{path.name}: {what} {found and found[0]}"
