"""`--share DIR` and HTML as a user runs them."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.program import run_probe

SPEC = ("--as", "Core i5-8500; 16GB DDR4-2666 x1; windows 11")


def test_share_writes_three_whole_files_and_prints_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "공유"
    folder.mkdir()
    outcome = run_probe(*SPEC, "--alias", "CON", "--share", str(folder), "--lang", "ko", folder=tmp_path)
    assert outcome.code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "history",
        "pc-CON.html",
        "pc-CON.json",
        "pc-CON.md",
    ]
    document = json.loads((folder / "pc-CON.json").read_bytes())
    assert document["kind"] == "report"
    assert document["machine"]["host"]["name"] == "CON"
    kept = list((folder / "history" / "pc-CON").iterdir())
    assert [json.loads(path.read_bytes()) for path in kept] == [document]
    assert "저장했습니다" in outcome.talk
    assert "추천" in outcome.text


def test_a_share_that_is_not_connected_is_refused_before_any_work(tmp_path: Path) -> None:
    outcome = run_probe("--share", "Z:/group", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.count("\n") == 1
    assert "Z:/group does not exist or is not connected" in outcome.talk.replace("\\", "/")


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that refuses even root")
def test_a_share_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    outcome = run_probe(*SPEC, "--share", "/proc/sys", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["check", "exaone-4.0-1.2b"], ["scan"]])
def test_html_is_one_file_that_asks_for_nothing_else(command: list[str], tmp_path: Path) -> None:
    outcome = run_probe(*command, *SPEC, "--format", "html", folder=tmp_path)
    assert outcome.code == 0
    page = outcome.text
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    for source in ("src=", "@import", "url(", "http://", "https://"):
        assert source not in page, source
    assert len(outcome.stdout) < 1_500_000


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["doctor", *SPEC], ("Problems and fixes", "문제와 해결 방법")),
        (["preflight", "vllm", *SPEC], ("What decides", "판정을 가른 점검")),
        (["preflight", "vllm", "--matrix"], ("Formats", "형식")),
        (["doctor", "--error", "CUDA out of memory", *SPEC], ('lang="en"', 'lang="ko"')),
    ],
    ids=["doctor", "preflight", "matrix", "error"],
)
def test_findings_and_checks_as_html_hold_both_languages(
    command: list[str], words: tuple[str, str], tmp_path: Path
) -> None:
    outcome = run_probe(*command, "--format", "html", folder=tmp_path)
    assert outcome.code in (0, 1), outcome.talk
    assert outcome.text.startswith("<!doctype html>")
    for word in words:
        assert word in outcome.text


def test_templates_are_read_only_for_html(tmp_path: Path) -> None:
    script = (
        "import sys; from probe.cli.main import main; main(['--as', 'RTX 4090', '--format', 'json', '-q']);"
        "print('jinja2' in sys.modules, file=sys.stderr)"
    )
    import subprocess

    from tests.cli.program import ROOT

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        timeout=180,
        check=True,
    )
    assert done.stderr.strip() == b"False"
