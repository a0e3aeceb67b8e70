"""CPU time of `probe --json` beside `llmfit recommend --json`, taken in turns on this machine.

Installs llmfit from PyPI into a temporary environment (the network is needed once), runs both
commands one after the other and compares the medians of user and system time, children
included. Both are offline while they are measured.

    python scripts/benchmark_llmfit.py [--runs N] [--json] [--llmfit PROGRAM]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.benchmark_startup import cpu_ms

VERSION = "1.1.17"
PROBE = [sys.executable, "-m", "probe", "--json"]


class Row(NamedTuple):
    """One command: its CPU time, and what it answered for that."""

    command: str
    median_ms: float
    least_ms: float
    rated: int | None  # models that the answer holds or says it looked at
    bytes: int


def installed(folder: Path) -> Path:
    """The llmfit program of a new environment in `folder`.

    Raises:
        SystemExit: pip cannot install it; the message says why.
    """
    venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    done = subprocess.run(
        [binaries / "python", "-m", "pip", "install", "-q", "--no-input", f"llmfit=={VERSION}"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    program = binaries / ("llmfit.exe" if os.name == "nt" else "llmfit")
    if done.returncode != 0 or not program.exists():
        why = done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise SystemExit(
            f"llmfit {VERSION} cannot be installed here: {why[0]}\n"
            "Nothing was measured. With a copy at hand: --llmfit PROGRAM."
        )
    return program


def answered(command: list[str]) -> tuple[bytes, dict[str, object]]:
    """The command's output and its JSON."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False
    )
    try:
        return done.stdout, json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode("utf-8", errors="replace").strip()[-300:]
        raise SystemExit(f"{' '.join(command)} printed no JSON: {said}") from None


def entries(document: dict[str, object]) -> int | None:
    """How many models the answer lists."""
    listed = document.get("models")
    return len(listed) if isinstance(listed, list) else None


def compared(program: Path, runs: int) -> tuple[Row, Row]:
    """Both commands, measured in turns; one round before does not count."""
    commands = [PROBE, [str(program), "recommend", "--json"]]
    answers = [answered(command) for command in commands]
    rounds = [[cpu_ms(command) for command in commands] for _ in range(runs)]
    probe, llmfit = (
        Row(
            command=name,
            median_ms=statistics.median(times),
            least_ms=min(times),
            rated=entries(document),
            bytes=len(output),
        )
        for name, times, (output, document) in zip(
            ("probe --json", f"llmfit {VERSION} recommend --json"),
            zip(*rounds, strict=True),
            answers,
            strict=True,
        )
    )
    return probe, llmfit


def main() -> int:
    """Print the comparison; exit 0 whoever is faster."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=11, help="counted rounds (default 11)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--llmfit", type=Path, metavar="PROGRAM", help="an installed llmfit to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = arguments.llmfit or installed(Path(folder))
        rows = compared(program, arguments.runs)
    ratio = rows[0].median_ms / rows[1].median_ms
    if arguments.json:
        document = {"runs": arguments.runs, "rows": [row._asdict() for row in rows], "ratio": round(ratio, 3)}
        print(json.dumps(document, indent=2))
        return 0
    print(f"{'command':<32}{'median ms':>10}{'least ms':>10}{'models':>8}{'bytes':>10}")
    for row in rows:
        models = "-" if row.rated is None else str(row.rated)
        print(f"{row.command:<32}{row.median_ms:>10.0f}{row.least_ms:>10.0f}{models:>8}{row.bytes:>10,}")
    print(f"probe takes {ratio:.2f} times llmfit's CPU time (medians of {arguments.runs} rounds in turns)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
