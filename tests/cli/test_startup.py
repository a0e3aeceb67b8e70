"""What is not needed is not loaded: start-up time is a promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("msgspec", "rich", "psutil", "pynvml", "cpuinfo", "jinja2", "probe.machine")
_PROGRAM = """
import contextlib, io, json, sys
from probe.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main({arguments!r})
print(json.dumps([code, sorted(sys.modules)]))
"""


def modules_after(arguments: list[str]) -> set[str]:
    """Modules loaded once `probe ARGUMENTS` has run."""
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(arguments=arguments)],
        cwd=ROOT,
        # Without coverage's own start-up, which loads tomllib.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    code, modules = json.loads(process.stdout)
    assert code == 0
    return set(modules)


def test_version_does_not_even_load_the_parser() -> None:
    assert modules_after(["--version"]) & {*HEAVY, "typer", "tomllib", "tomli"} == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--help", "--lang", "ko"], ["check", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert modules_after(arguments) & set(HEAVY) == set()


def test_help_of_all_commands_loads_none_of_them() -> None:
    commands = {"probe.cli.scan", "probe.cli.check", "probe.cli.doctor", "probe.cli.catalog"}
    assert modules_after(["--help"]) & commands == set()


def test_scanning_loads_no_page_and_no_arithmetic() -> None:
    """The hardware as JSON needs neither rich nor the recommender."""
    unneeded = {"rich", "jinja2", "cpuinfo", "probe.render.terminal", "probe.recommender.fit"}
    assert modules_after(["scan", "--json"]) & unneeded == set()


def test_a_report_as_json_loads_no_page() -> None:
    arguments = ["--json", "--as", "RTX 4090"]
    assert modules_after(arguments) & {"rich", "jinja2", "cpuinfo", "pynvml", "psutil"} == set()
