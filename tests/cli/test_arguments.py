"""Wrong requests end with exit 2, one clear line on stderr, and nothing on stdout."""

from pathlib import Path

import pytest

from probe import __version__
from tests.cli.program import run_probe


def test_version_is_one_line(tmp_path: Path) -> None:
    outcome = run_probe("--version", folder=tmp_path)
    assert (outcome.code, outcome.text, outcome.talk) == (0, f"probe {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chek",), "`probe` has no command `chek`. Did you mean: check?"),
        (("serve",), "`probe` has no command `serve`. `probe --help` lists all."),
        (("scan", "--jsn"), "`probe scan` has no option `--jsn`. Did you mean: --json?"),
        (("scan", "--zzz"), "`probe scan` has no option `--zzz`. `probe scan --help` lists all."),
        (("check",), "`probe check` needs MODEL."),
        (("check", "phi-4", "also"), "`probe check` does not know what to do with `also`."),
        (("check", "phi-4", "--context"), "`--context` needs a value."),
        (("--context", "-5"), "`--context` needs a whole number, not `-5`."),
        (("--context", "0"), "`--context` cannot be 0: between 1 and 100,000,000 are possible."),
        (("--context", "1e9"), "`--context` needs a whole number, not `1e9`."),
        (("--context", "١٢"), "`--context` needs a whole number, not `١٢`."),
        (("--parallel", "9999999"), "`--parallel` cannot be 9999999"),
        (("--reserve", "24Q"), "Not a memory size: `24Q`."),
        (("--reserve", "-5G"), "Not a memory size: `-5G`."),
        (("--reserve", "0GB"), "Impossible memory size: `0GB`"),
        (("--format", "pdf"), "`--format` cannot be `pdf`. Possible: terminal, markdown, json, html, csv."),
        (("--for", "korea"), "`--for` cannot be `korea`. Did you mean: korean?"),
        (("--lang", "fr"), "`--lang` cannot be `fr`. Possible: en, ko."),
        (("--json", "--format", "csv"), "--json and --format csv ask for two formats on stdout."),
        (("--json", "scan"), "`--json` stands before the command and would be ignored."),
        (("--as", "RTX 4090", "--machine", "x.json"), "--machine and --as both name a machine."),
        (("scan", "--record", "here", "--as", "RTX 4090"), "--record records this machine"),
        (("help",), "`probe` has no command `help`. Did you mean: --help?"),
        (
            ("qwen3-8b",),
            "`probe` has no command `qwen3-8b`, but there is a model of that name. Write `probe check",
        ),
        (("check", ""), "No model in the catalog is called ``."),
        (("doctor", "--error"), "`--error` needs a value. `probe doctor --help` shows how."),
        (("--format", "htm"), "`--format` cannot be `htm`. Did you mean: html?"),
        (("--api-url", "server-1"), "`--api-url` needs an address such as http://"),
        (("diff", "a.json", "b.json"), "No file at a.json. Check the path;"),
        (("bench", "--model", "nope.gguf"), "No file or folder at nope.gguf."),
        (("preflight", "vlm"), "Unknown engine `vlm`. Did you mean: vllm?"),
        (
            ("preflight", "vllm", "--as", "RTX 4090", "--target-version", "new"),
            "`new` is no version. Write it",
        ),
        (("check", "qwen3-8b", "--as", "RTX 4090", "--quant", "zzz"), "Unknown quantization `zzz`. Write it"),
        (
            ("check", "qwen3-8b", "--as", "RTX 4090", "--quant", "awqq"),
            "Unknown quantization `awqq`. Nearest names: awq.",
        ),
        (("scan", "--as", "Core i5-84000"), "`Core i5-84000` names no GPU, processor"),
        (("train", "phi-4", "--method", "lorra"), "`--method` cannot be `lorra`. Did you mean: lora, qlora?"),
        (("check", "hf:org/model"), "`hf:org/model` lies on the hub"),
        (("check", "./missing.gguf"), "No file or folder at ./missing.gguf."),
        (("--machine", "missing.json"), "No file at missing.json."),
    ],
)
def test_a_wrong_request_is_one_line_on_stderr(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = run_probe(*arguments, folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.startswith(said)
    assert outcome.talk.count("\n") == 1


def test_wrong_requests_speak_korean_too(tmp_path: Path) -> None:
    outcome = run_probe("chek", "--lang", "ko", folder=tmp_path)
    assert outcome.code == 2
    assert outcome.talk.startswith("`probe`에 `chek`(이)라는 명령은 없습니다. 혹시 check?")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"kind": "machine", "memory": {"total_by',
        b"\xff\xfe\x00not text",
        b"[]",
        b'{"kind": "machine", "memory": {"total_bytes": -1}}',
        b'{"kind": "machine", "memory": {"total_bytes": "16GB"}}',
        b'{"kind": "estimate"}',
        b'{"kind": "machine", "schema_version": "9.0"}',
        b"[" * 100_000,
    ],
    ids=["empty", "cut-off", "binary", "list", "negative", "text-for-number", "other-kind", "future", "deep"],
)
def test_a_damaged_machine_file_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "machine.json").write_bytes(content)
    outcome = run_probe("--machine", "machine.json", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "machine.json" in outcome.talk
    assert outcome.talk.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere/report.md", "The folder nowhere does not exist."),
        ("report.pdf", "The suffix of report.pdf names no format."),
        ("report", "The suffix of report names no format."),
        ("missing-folder/", "The folder missing-folder does not exist."),
    ],
)
def test_an_impossible_target_is_refused_before_any_work(tmp_path: Path, target: str, said: str) -> None:
    outcome = run_probe("scan", "--as", "RTX 4090", "--output", target, folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_suffix_and_format_may_not_contradict_each_other(tmp_path: Path) -> None:
    outcome = run_probe("--output", "report.md", "--format", "json", folder=tmp_path)
    assert outcome.code == 2
    assert outcome.talk.startswith("The suffix of report.md and --format json contradict each other.")


@pytest.mark.parametrize("command", [(), ("scan",), ("check",), ("doctor",)])
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_help_names_every_option_and_ends_with_examples(
    tmp_path: Path, command: tuple[str, ...], lang: str
) -> None:
    outcome = run_probe(*command, "--help", "--lang", lang, folder=tmp_path, COLUMNS="80")
    assert (outcome.code, outcome.talk) == (0, "")
    assert all(option in outcome.text for option in ("--machine FILE", "--as SPEC", "--json", "--lang ko|en"))
    assert "\n".join(outcome.text.splitlines()[-4:]).count("  probe") >= 2
    assert "cli." not in outcome.text  # a message key shown raw


def test_help_speaks_the_systems_language(tmp_path: Path) -> None:
    assert "사용법: probe" in run_probe("--help", folder=tmp_path, LANG="ko_KR.UTF-8").text
    assert "Usage: probe" in run_probe("--help", folder=tmp_path, LANG="C").text
    assert (
        "Usage: probe" in run_probe("--help", folder=tmp_path, LANG="ko_KR.UTF-8", LC_ALL="en_US.UTF-8").text
    )


def test_help_on_a_console_without_korean_falls_back_to_english(tmp_path: Path) -> None:
    outcome = run_probe("--help", folder=tmp_path, encoding="cp1252", LANG="ko_KR.UTF-8")
    assert outcome.stdout.startswith(b"What LLMs can this machine run?")


def test_korean_help_is_readable_on_a_cp949_console(tmp_path: Path) -> None:
    outcome = run_probe("--help", "--lang", "ko", folder=tmp_path, encoding="cp949")
    assert "사용법: probe" in outcome.stdout.decode("cp949")
    assert "?" not in outcome.stdout.decode("cp949")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--share", ""),
        ("--output", " "),
        ("--machine", ""),
        ("scan", "--record", ""),
        ("fleet", ""),
        ("diff", "", "b.json"),
        ("preflight", "vllm", "--machines", ""),
    ],
)
def test_an_empty_path_is_not_the_folder_one_stands_in(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """`probe --share "$DIR"` of a script whose variable is not set."""
    outcome = run_probe(*arguments, folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "is empty" in outcome.talk
    assert list(tmp_path.iterdir()) == []


def test_the_language_may_be_written_in_capitals(tmp_path: Path) -> None:
    assert "모델" in run_probe("--lang", "KO", "--help", folder=tmp_path).text
    assert "하드웨어" in run_probe("scan", "--as", "RTX 4090", "--lang=Ko", folder=tmp_path).text
