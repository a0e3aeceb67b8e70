"""What is not needed is not loaded: start-up time is a promise."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probe.cli import machine_report
from probe.cli.main import main
from probe.cli.session import Session
from probe.errors import EXIT_WRONG_INPUT

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("msgspec", "rich", "psutil", "pynvml", "cpuinfo", "jinja2", "probe.machine")
# What no report needs: other commands' arithmetic, rare formats, names that nobody typed.
UNASKED = (
    "probe.catalog.names",
    "probe.catalog.gpu_search",
    "probe.engines.vllm",
    "probe.estimate.training",
    "probe.recommender.doctor.effects",
    "probe.recommender.fit_vllm",
    "probe.recommender.plan",
    "probe.recommender.preflight",
    "probe.recommender.speculate",
    "probe.recommender.fit_onnx",
    "probe.fleet",
    "probe.mcp_server",
    "probe.model_files",
    "encodings.idna",
    "http.client",
    "asyncio",
)
_PROGRAM = """
import contextlib, io, json, sys
from probe.cli.main import main
done = []
def note(event, values):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "time.sleep"):
        done.append([event, repr(values)[:200]])
    elif event == "socket.connect" and values[1][0] != "127.0.0.1":
        done.append([event, repr(values[1])])
sys.addaudithook(note)
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    code = main({arguments!r})
print(json.dumps([code, sorted(sys.modules), done]))
"""


def ran(arguments: list[str], **variables: str) -> tuple[set[str], list[list[str]]]:
    """What `probe ARGUMENTS` loaded, and the processes, pauses and connections to elsewhere it made."""
    # Without coverage's own start-up, which loads tomllib.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(arguments=arguments)],
        cwd=ROOT,
        env={**own, **variables},
        capture_output=True,
        check=True,
        timeout=180,
    )
    code, modules, done = json.loads(process.stdout)
    assert code == 0
    return set(modules), done


def modules_after(arguments: list[str]) -> set[str]:
    """Modules loaded once `probe ARGUMENTS` has run."""
    return ran(arguments)[0]


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
    unneeded |= {"probe.estimate.weights", "probe.recommender.front_ends", "probe.catalog.quantizations"}
    assert modules_after(["scan", "--json"]) & unneeded == set()


@pytest.mark.parametrize("arguments", [["--json"], ["--lang", "ko"], ["--json", "--lang", "en"]])
def test_the_plainest_lines_do_not_load_the_parser(arguments: list[str]) -> None:
    """What most people type; the rich page brings inspect with it."""
    unneeded = {"typer"} if "--json" not in arguments or sys.version_info < (3, 11) else {"typer", "inspect"}
    assert modules_after(arguments) & unneeded == set()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--json"],
        ["--lang", "ko"],
        ["--lang", "en", "--json"],
        ["--json", "--lang", "ko"],
    ],
)
def test_lines_read_without_the_parser_mean_what_it_would_have_read(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same line with a default spelt out goes through the parser."""
    read: list[object] = []

    def note(session: Session, wanted: object, asked: Callable[[], object], **other: object) -> None:
        read.append((session.lang, session.verbose, wanted, asked(), {k: v for k, v in other.items() if v}))

    monkeypatch.setattr(machine_report, "print_report", note)
    assert main(arguments) == main([*arguments, "--context", "8192"]) == 0
    assert read[0] == read[1]


@pytest.mark.parametrize("arguments", [["--lang", "--json", "ko"], ["--lang"], ["--json", "--lang", "xx"]])
def test_lines_that_only_look_plain_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == EXIT_WRONG_INPUT
    assert "--lang" in capsys.readouterr().err


def test_what_was_asked_for_at_the_end_runs_and_the_exit_code_stays() -> None:
    """Temporary folders and coverage hang on it: the interpreter itself is not taken apart."""
    program = (
        "import atexit, sys\n"
        "from probe.cli.main import run\n"
        "atexit.register(lambda: print('at the end'))\n"
        "sys.argv = ['probe', 'nonsense-command']\n"
        "print('before')\n"
        "run()\n"
        "print('never')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.stdout.split("\n"), done.returncode) == (["before", "at the end", ""], EXIT_WRONG_INPUT)
    assert "nonsense-command" in done.stderr


def test_a_report_as_json_loads_no_page() -> None:
    arguments = ["--json", "--as", "RTX 4090"]
    assert modules_after(arguments) & {"rich", "jinja2", "cpuinfo", "pynvml", "psutil"} == set()


@pytest.mark.parametrize(
    "arguments",
    [["--json"], ["--json", "--as", "RTX 4090; 64GB DDR5-5600 x2"], ["--json", "--as", "4x RTX 3090; 256GB"]],
    ids=["live", "one-gpu", "four-gpus"],
)
def test_a_report_loads_what_it_answers_with_and_nothing_else(arguments: list[str]) -> None:
    words = {"probe.catalog.names", "probe.catalog.gpu_search"} if "--as" in arguments else set()
    assert modules_after(arguments) & (set(UNASKED) - words) == set()


def test_a_fleet_of_reports_loads_no_estimator(tmp_path: Path) -> None:
    assert (
        modules_after(["fleet", str(tmp_path), "--json"])
        & {
            "probe.recommender.fit",
            "probe.estimate.speed",
            "rich",
            "jinja2",
        }
        == set()
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Windows and macOS ask their own tools")
@pytest.mark.parametrize("arguments", [["scan", "--json"], ["--json"], ["check", "qwen3-8b", "--json"]])
def test_the_common_path_starts_no_process_waits_for_nothing_and_stays_here(
    arguments: list[str], tmp_path: Path
) -> None:
    """Without drivers and engines in the path; their own tools are asked only where they are found."""
    _, done = ran(arguments, PATH=str(tmp_path))
    assert done == []
