"""Check room by room that the tests run nearly every line: called by `scripts/test.py --coverage`.

Reads the data that pytest-cov left (`.coverage`), prints each room's share and its
lines that no test runs, and fails where a room stays below the floor.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
FLOOR: Final = 95.0
ROOMS: Final = ("estimate", "engines", "recommender", "collectors")
# Of the collectors the parsers are counted. These files only call the system; what of them is
# for Windows or macOS cannot run on Linux, and tests/rig starts the Windows ones under Wine.
LIVE: Final = frozenset(
    f"probe/collectors/{name}.py"
    for name in (
        "cuda_child", "local_drm", "local_host", "local_loopback", "local_platform", "local_programs",
        "local_registry", "local_search", "native_calls", "nvml_live", "windows_calls", "windows_dxgi",
    )
)  # fmt: skip


def measured() -> dict[str, dict[str, list[int]]]:
    """File -> executed and missing lines, from coverage's own report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    return {
        Path(name).as_posix(): {
            "executed": found["executed_lines"],
            "missing": found["missing_lines"],
        }
        for name, found in files.items()
    }


def spans(lines: Iterable[int]) -> str:
    """`3, 7-9` of 3, 7, 8, 9."""
    written: list[list[int]] = []
    for line in sorted(lines):
        if written and line == written[-1][1] + 1:
            written[-1][1] = line
        else:
            written.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in written)


def share(files: Mapping[str, Mapping[str, list[int]]]) -> float:
    """Executed lines of all, in percent."""
    run = sum(len(found["executed"]) for found in files.values())
    missing = sum(len(found["missing"]) for found in files.values())
    return 100.0 * run / max(1, run + missing)


def main() -> int:
    """Print the table; 1 where a room is below the floor."""
    everything = measured()
    short = []
    for room in ROOMS:
        files = {
            name: found
            for name, found in everything.items()
            if name.startswith(f"probe/{room}/") and name not in LIVE
        }
        for name, found in sorted(files.items()):
            if found["missing"]:
                print(f"{name:52} {share({name: found}):5.1f} %  not run: {spans(found['missing'])}")
        reached = share(files)
        print(f"== probe/{room}: {reached:.1f} % of the lines (at least {FLOOR:.0f} %)", flush=True)
        if not files or reached < FLOOR:
            short.append(room)
    if short:
        print(f"FAILED: too few lines are tested in {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
