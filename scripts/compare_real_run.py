"""Compare our speed with a real llama.cpp on this machine: `compare_real_run.py MODEL.gguf ...`.

For every file: our estimate before anything is measured, a real run with llama-bench,
what `probe bench` would keep of it, and a second, fresh run against the estimate that now
knows the first one. Exit code 1 when a first run lies outside its range or an estimate
after measuring is more than 15 % off.

A machine that computes something else at the same time spoils the comparison: close
other programs first (on a shared Linux machine, `chrt -r 1` gives the run its cores).
"""

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.benchmark.store import fingerprint
from probe.catalog.enrich import enrich
from probe.cli.bench_session import BenchSession, EngineAsk
from probe.collectors.local_host import LocalHost
from probe.collectors.run import scan_machine
from probe.machine import Machine, Range
from probe.report.bench_documents import BenchRun

TOLERANCE: Final = 0.15


class Line(NamedTuple):
    """One figure before and after."""

    model: str
    what: str
    estimated: Range
    first: Range
    calibrated: Range
    second: Range

    @property
    def in_range(self) -> bool:
        """The first run lies in the range that was printed before it."""
        return self.estimated.low <= self.first.value <= self.estimated.high

    @property
    def error_after(self) -> float:
        """Of the calibrated estimate against the second run."""
        return abs(self.calibrated.value / self.second.value - 1)

    @property
    def good(self) -> bool:
        """Both conditions."""
        return self.in_range and self.error_after <= TOLERANCE


def measured_run(machine: Machine, mark: str, model: Path, program: str | None) -> BenchRun:
    """One run of `probe bench --model`, nothing kept."""
    session = BenchSession(machine, mark, lambda _key: None)
    session.measure_engine(EngineAsk(model=str(model), program=program))
    if not session.runs:
        raise SystemExit(f"{model}: " + ", ".join(f"{note.code} {note.values}" for note in session.notes))
    return session.runs[0]


def lines_of(machine: Machine, mark: str, model: Path, program: str | None) -> list[Line]:
    """Decode and prompt of one file, two runs."""
    one = measured_run(machine, mark, model, program)
    two = measured_run(machine, mark, model, program)
    pairs = (
        ("decode", one.decode_estimated, one.decode_measured, one.decode_calibrated, two.decode_measured),
        ("prompt", one.prompt_estimated, one.prompt_measured, one.prompt_calibrated, two.prompt_measured),
    )
    found = []
    for what, estimated, first, calibrated, second in pairs:
        if estimated is None or first is None or calibrated is None or second is None:
            raise SystemExit(f"{model}: no estimate or no figure of {what}")
        found.append(Line(model.name, what, estimated, first, calibrated, second))
    return found


def main() -> int:
    """Print the comparison; the exit code says whether it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--llama-bench", metavar="PROGRAM")
    options = parser.parse_args()
    scanned = scan_machine(LocalHost())
    machine, mark = enrich(scanned), fingerprint(scanned)
    lines = [line for model in options.models for line in lines_of(machine, mark, model, options.llama_bench)]
    print(f"{'model':<36}{'':<8}{'estimate (range)':>22}{'run 1':>9}{'now':>9}{'run 2':>9}{'error':>8}")
    for line in lines:
        before = f"{line.estimated.value:.1f} ({line.estimated.low:.1f}-{line.estimated.high:.1f})"
        print(
            f"{line.model:<36}{line.what:<8}{before:>22}{line.first.value:>9.1f}"
            f"{line.calibrated.value:>9.1f}{line.second.value:>9.1f}{line.error_after:>8.1%}"
            + ("" if line.good else "  OUTSIDE" if not line.in_range else "  OFF")
        )
    return 0 if all(line.good for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
