"""Sizes and start times of built artefacts, as a table for people.

Times are CPU seconds (user and system, children included), the least of several
runs: other work on the machine only ever adds.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from scripts.release.wheelhouse import ReleaseError

RUNS = 3
BEGIN, END = "<!-- artefacts: begin -->", "<!-- artefacts: end -->"


class Measured(NamedTuple):
    """One artefact; times are None for what does not start by itself."""

    name: str
    what: str
    size_bytes: int
    first_s: float | None = None
    version_s: float | None = None
    report_s: float | None = None


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """CPU time of one run that must succeed.

    Raises:
        ReleaseError: it did not; its words are in the text.
    """
    before = os.times()
    done = subprocess.run(
        command,
        env=environment,
        cwd=tempfile.gettempdir(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    after = os.times()
    if done.returncode not in (0, 1):
        words = done.stderr.decode("utf-8", "replace").strip()[-400:]
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}: {words}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure(name: str, what: str, path: Path, command: list[str] | None) -> Measured:
    """Size of `path`, and start times where a `command` starts it, with an empty cache of its own."""
    size = path.stat().st_size
    if command is None or sys.platform == "win32":  # Windows counts no CPU time of children
        return Measured(name, what, size)
    with tempfile.TemporaryDirectory(prefix="probe-cache-") as cache:
        # As people start it: a variable such as PYTHONDONTWRITEBYTECODE would double the time of every start.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["XDG_CACHE_HOME"] = cache
        first = cpu_seconds([*command, "--version"], environment)
        version = min(cpu_seconds([*command, "--version"], environment) for _ in range(RUNS))
        reports = [cpu_seconds([*command, "--json"], environment) for _ in range(RUNS + 1)]
        report = min(reports[1:])  # the first one writes Python's cache of compiled modules
    return Measured(name, what, size, first, version, report)


def bare_python_seconds() -> float:
    """CPU time of the running Python when it does nothing: the yardstick of this machine."""
    return min(cpu_seconds([sys.executable, "-c", "pass"], dict(os.environ)) for _ in range(RUNS))


def table(rows: list[Measured], *, notes: list[str]) -> str:
    """The Markdown table of the README, with the machine it was measured on."""

    def seconds(value: float | None) -> str:
        return "" if value is None else f"{value:.2f} s"

    lines = [
        "| file | for whom | size | first start | `probe --version` | `probe --json` |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        times = " | ".join(map(seconds, (row.first_s, row.version_s, row.report_s)))
        lines.append(f"| {row.name} | {row.what} | {row.size_bytes / 1e6:.1f} MB | {times} |")
    bare = bare_python_seconds() * 1000
    python = platform.python_version()
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {python}"
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1):
        notes = [*notes, "Other programs used the processors meanwhile, so times are rather too high."]
    lines += ["", f"CPU time on {where}, where bare Python takes {bare:.0f} ms. {' '.join(notes)}"]
    return "\n".join(lines) + "\n"


def write_table(page: Path, text: str) -> None:
    """Put the table between the two markers of a page.

    Raises:
        ReleaseError: the page has no markers.
    """
    content = page.read_text(encoding="utf-8")
    head, begin, rest = content.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ReleaseError(f"{page.name} has no lines {BEGIN} and {END}")
    page.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8", newline="\n")
