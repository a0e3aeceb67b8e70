"""Install what the tests need and run every check: `python3 scripts/test.py [arguments of pytest]`.

Format, lint, types and import layers come first, then pytest, whose closing line
is the last one printed. `--rigs` first installs the heavy rigs that this system
can have (see RIGS); a rig that is missing is named loudly, never silently skipped.
`--coverage` also measures which lines the tests run and fails where a room of the
arithmetic or the parsers stays below 95 %. From Python 3.12 on that costs next to
nothing; before, the tests take about three times as long.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scripts.run import ROOT, install

CHECKS = (
    ("format", ["-m", "ruff", "format", "--check", "--quiet", "."]),
    ("lint", ["-m", "ruff", "check", "--quiet", "."]),
    ("types", ["-m", "mypy"]),
    ("layers", ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]),
)
COVERAGE = ("--cov", "--cov-report=")


def main() -> int:
    """Run all checks; 0 only when every one of them passed."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    rigs = "--rigs" in arguments
    coverage = "--coverage" in arguments
    arguments = [argument for argument in arguments if argument not in ("--rigs", "--coverage")]
    print("installing the test environment into .venv-test ...", file=sys.stderr, flush=True)
    run, environment = install(ROOT / ".venv-test", ["-e", ".[test]"])
    if coverage and sys.version_info >= (3, 12):
        environment.setdefault("COVERAGE_CORE", "sysmon")  # the interpreter's own counting of lines
    if rigs:
        subprocess.run(
            [*run, str(ROOT / "tests/rig/install_rigs.py")], cwd=ROOT, env=environment, check=False
        )
    failed = []
    for name, check in CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run([*run, *check], cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print("== tests", flush=True)
    pytest = [*run, "-m", "pytest", "-q", "-n", "auto", *(COVERAGE if coverage else ()), *arguments]
    if failed:
        print(f"FAILED before the tests: {', '.join(failed)}", flush=True)
    tests = subprocess.run(pytest, cwd=ROOT, env=environment, check=False).returncode
    rooms = [*run, str(ROOT / "scripts/room_coverage.py")]
    if coverage and subprocess.run(rooms, cwd=ROOT, env=environment, check=False).returncode:
        failed.append("coverage")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr, flush=True)
    return tests or (1 if failed else 0)


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - run by whatever Python there is
        sys.exit("the tests need Python 3.10 or newer; this is " + sys.version.split()[0])
    sys.exit(main())
