"""CPU time of the commands people run most, in proportion to bare Python.

The budgets of the design hold where bare Python takes 11 ms; elsewhere they
grow in proportion. Prints a table, exits 1 when a command is over its budget.

    python scripts/benchmark_startup.py [--runs N] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

BARE_PYTHON_MS = 11.0
ROOT = Path(__file__).resolve().parent.parent
BUDGETS_MS = {
    "--version": 80.0,
    "--help": 80.0,
    "scan --json": 150.0,
    "--json": 400.0,
}
# Loading an NVIDIA library costs what the library costs.
NVIDIA_BUDGETS_MS = {"scan --json": 190.0}


def cpu_ms(command: list[str]) -> float:
    """User and system CPU time of one run, children included, in milliseconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def least_cpu_ms(commands: list[list[str]], runs: int) -> list[float]:
    """Least CPU time of each command over `runs` rounds.

    Other work on the machine only ever adds, so the least is what the program
    needs; the commands take turns, so that all meet the same conditions.
    """
    rounds = [[cpu_ms(command) for command in commands] for _ in range(runs + 1)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]  # the first round warms the file cache


def has_nvidia_library() -> bool:
    """Whether the loader finds NVIDIA's management library."""
    import ctypes

    for name in ("libnvidia-ml.so.1", "nvml.dll"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    budgets = {**BUDGETS_MS, **(NVIDIA_BUDGETS_MS if has_nvidia_library() else {})}
    commands = [[sys.executable, "-m", "probe", *options.split()] for options in budgets]
    bare, *times = least_cpu_ms([[sys.executable, "-c", "pass"], *commands], arguments.runs)
    rows = []
    for (options, budget), measured in zip(budgets.items(), times, strict=True):
        scaled = measured * BARE_PYTHON_MS / bare
        rows.append(
            {
                "command": f"probe {options}",
                "cpu_ms": round(measured, 1),
                "where_python_takes_11_ms": round(scaled, 1),
                "budget_ms": budget,
                "within": scaled <= budget,
            }
        )
    if arguments.json:
        print(json.dumps({"bare_python_ms": round(bare, 1), "rows": rows}, indent=2))
    else:
        print(f"bare Python: {bare:.1f} ms CPU (least of {arguments.runs})")
        print(f"{'command':<22}{'CPU ms':>8}{'at 11 ms':>10}{'budget':>8}")
        for row in rows:
            verdict = "ok" if row["within"] else "OVER"
            print(
                f"{row['command']:<22}{row['cpu_ms']:>8.1f}{row['where_python_takes_11_ms']:>10.1f}"
                f"{row['budget_ms']:>8.0f}  {verdict}"
            )
    return 0 if all(row["within"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
