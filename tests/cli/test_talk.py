"""What is said while a person waits, and in which colours: on terminals, as far as asked for."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.example_folder import make_folder
from tests.cli.program import ROOT, run_probe
from tests.fakes.patience import BUSY_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
ESCAPE = b"\x1b["


def on_terminals(
    arguments: list[str],
    folder: Path,
    *,
    out: bool,
    error: bool,
    wait_s: float = 0.0,
    till_told: bool = False,
    **environment: str,
) -> tuple[bytes, bytes]:
    """stdout and stderr of a run of which either or both are terminals.

    stdin comes after `wait_s`, or with `till_told` once something stands on stderr.
    """
    ends: list[int] = []
    pipes: list[tuple[int, int]] = []
    for is_terminal in (out, error):
        pipes.append(os.openpty() if is_terminal else os.pipe())
        ends.append(pipes[-1][0])
    with subprocess.Popen(
        [sys.executable, "-m", "probe", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "en_US.UTF-8", "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / ".state"), "TERM": "xterm", "COLUMNS": "80", **environment,
        },
        stdin=subprocess.PIPE, stdout=pipes[0][1], stderr=pipes[1][1],
    ) as process:  # fmt: skip
        assert process.stdin is not None
        time.sleep(wait_s)  # the run itself waits, for its input
        if till_told:
            select.select([ends[1]], [], [], 2 * BUSY_S)
        process.stdin.write(b"no kernel image is available for execution on the device\n")
        process.stdin.close()
        for _, written in pipes:
            os.close(written)
        seen = [b"", b""]
        for place, end in enumerate(ends):
            try:
                while chunk := os.read(end, 65536):
                    seen[place] += chunk
            except OSError:  # a terminal whose writers are gone
                pass
            os.close(end)
    return seen[0], seen[1]


WAITING = ["doctor", "--error", "-", "--as", "RTX 4090"]


def test_a_person_who_waits_longer_than_a_second_is_told(tmp_path: Path) -> None:
    _, said = on_terminals(WAITING, tmp_path, out=True, error=True, till_told=True)
    assert said == b"Working ...\r\n"
    _, said = on_terminals([*WAITING, "--lang", "ko"], tmp_path, out=True, error=True, till_told=True)
    assert said.decode() == "계산하고 있습니다 ...\r\n"


@pytest.mark.parametrize(
    ("more", "out", "error"),
    [([], True, False), (["-q"], True, True), (["--quiet"], True, True), (["--json"], False, True)],
    ids=["stderr to a file", "-q", "--quiet", "--json to a program"],
)
def test_nobody_else_is(more: list[str], out: bool, error: bool, tmp_path: Path) -> None:
    printed, said = on_terminals([*WAITING, *more], tmp_path, out=out, error=error, wait_s=1.8)
    assert said == b""
    assert b"kernel" in printed


def test_quick_answers_come_without_a_word(tmp_path: Path) -> None:
    _, said = on_terminals(["check", "qwen3-8b", "--as", "RTX 4090"], tmp_path, out=True, error=True)
    assert said in (b"", b"Working ...\r\n")  # the second on a machine busy with other tests


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),  # empty counts as not set
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(environment: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    printed, _ = on_terminals(
        ["check", "qwen3-8b", "--as", "RTX 4090"], tmp_path, out=True, error=True, **environment
    )
    assert (ESCAPE in printed) is coloured


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "0"}, False)]
)
def test_colour_in_a_pipe_only_when_forced(
    environment: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    outcome = run_probe("check", "qwen3-8b", "--as", "RTX 4090", folder=tmp_path, **environment)
    assert (ESCAPE in outcome.stdout) is coloured


def test_data_is_never_coloured(tmp_path: Path) -> None:
    for name in ("json", "markdown", "csv"):
        outcome = run_probe(
            "check", "qwen3-8b", "--as", "RTX 4090", "--format", name, folder=tmp_path, FORCE_COLOR="1"
        )
        assert ESCAPE not in outcome.stdout


def test_every_kind_of_page_reaches_a_korean_console_in_a_pipe(tmp_path: Path) -> None:
    """Code page 949: nothing of ours may turn into a question mark."""
    folder = make_folder(tmp_path / "here")
    for arguments in (
        ["check", "exaone-4.0-32b", "--machine", "report.json"],
        ["fleet", "reports"],
        ["plan", "qwen3-8b"],
        ["preflight", "vllm", "--machine", "report.json"],
        ["doctor", "--machine", "report.json"],
        ["train", "qwen3-8b", "--machine", "report.json"],
        ["diff", "report.json", "today.json"],
        ["catalog", "validate"],
    ):
        outcome = run_probe(*arguments, "--lang", "ko", folder=folder, encoding="cp949")
        text = outcome.stdout.decode("cp949")
        assert outcome.code in (0, 1), outcome.stderr
        assert "?" not in text.replace("?v=", ""), arguments
        assert any("가" <= letter <= "힣" for letter in text)
    shutil.rmtree(folder)
