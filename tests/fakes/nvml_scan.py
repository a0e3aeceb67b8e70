"""A Linux computer whose NVML answers as a test says, scanned whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.collectors.run import scan_machine
from probe.machine import (
    AttemptResult,
    Machine,
)
from tests.fakes.hosts import TreeHost
from tests.fakes.nvml_library import Error, FakeNvmlLibrary, installed


def scan(
    tmp_path: Path,
    *devices: Mapping[str, Any] | Error,
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    platform: Any = None,
    **library: Any,
) -> Machine:
    """The machine whose NVML answers like this."""
    host = TreeHost(
        tmp_path, files, links=links, variables=variables, **({"platform": platform} if platform else {})
    )
    with installed(FakeNvmlLibrary(*devices, **library)):
        return scan_machine(host, deadline_s=30)


def states(machine: Machine) -> list[tuple[str, str | None]]:
    return [(device.state.value, device.state_reason) for device in machine.accelerators]


def nvml_attempt(machine: Machine, source: str = "nvml") -> tuple[AttemptResult, str | None, str | None]:
    attempt = next(attempt for attempt in machine.attempts if attempt.source == source)
    return attempt.result, attempt.code, attempt.detail
