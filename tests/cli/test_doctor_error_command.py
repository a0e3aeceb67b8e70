"""`probe doctor --error`: exit codes, a piped log, and what a hostile text may do to a page."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.program import ROOT, run_probe

NO_KERNEL = "CUDA error: no kernel image is available for execution on the device"
P100 = "2x P100 16GB; 64GB"


def test_a_known_error_is_done_and_an_unknown_one_is_no_answer(tmp_path: Path) -> None:
    known = run_probe("doctor", "--as", P100, "--error", NO_KERNEL, folder=tmp_path)
    assert (known.code, known.talk) == (0, "")
    assert "Tesla P100-PCIE-16GB, compute capability 6.0" in " ".join(known.text.split())
    unknown = run_probe("doctor", "--as", P100, "--error", "the printer is on fire", folder=tmp_path)
    assert unknown.code == 1
    assert "The installed package has no code for this GPU" in unknown.text


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    outcome = run_probe("doctor", "--as", P100, "--error", "-", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "--error got no text" in outcome.talk


def test_a_log_is_read_from_a_pipe(tmp_path: Path) -> None:
    """Korean of a Windows console and half a letter at the cut are no reason to stop."""
    log = "모델".encode("cp949") + f"\r\n{NO_KERNEL}\r\n".encode() + b"\xff" * 300_000
    process = subprocess.run(
        [sys.executable, "-m", "probe", "doctor", "--as", P100, "--error", "-", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        input=log,
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert process.returncode == 0
    assert [one["id"] for one in json.loads(process.stdout)["findings"]] == ["error.no_kernel_image"]


def test_markup_in_a_text_stays_text(tmp_path: Path) -> None:
    text = "unknown model architecture: 'gemma4' [bold]x[/] <script>alert(1)</script> \x1b[2J"
    shown = run_probe("doctor", "--as", P100, "--error", text, folder=tmp_path)
    assert shown.code == 0
    assert b"\x1b" not in shown.stdout
    assert b"script" not in shown.stdout


def test_a_machine_in_words_is_called_by_them_and_a_real_one_by_no_name(tmp_path: Path) -> None:
    """The page goes into help forums; `explained for pc` said nothing of what was described."""
    described = run_probe("doctor", "--as", "RTX 4090", "--error", NO_KERNEL, folder=tmp_path)
    assert described.text.startswith("The error, explained for RTX 4090\n")
    (tmp_path / "m.json").write_text('{"host": {"name": "kims-pc", "origin": "live"}}', encoding="utf-8")
    saved = run_probe("doctor", "--machine", "m.json", "--error", NO_KERNEL, folder=tmp_path)
    assert "kims-pc" not in saved.text
