"""Help is one screen in both languages, names every option, and its examples work as printed."""

import re
import shutil
from pathlib import Path

import pytest

from probe.cli.main import COMMANDS
from probe.messages import LANGUAGES, has, t
from probe.render.text import cell_width
from tests.cli.example_folder import MAY_SAY_NO, make_folder, run_line
from tests.cli.program import run_probe

SUBCOMMANDS = [("catalog", name) for name in ("list", "show", "add", "validate")]
PAGES = [(), *((name,) for name in COMMANDS), *SUBCOMMANDS]


def examples() -> list[str]:
    keys = ["cli.example." + ("_".join(page) or "probe") for page in PAGES]
    texts = [t(key, lang) for key in keys for lang in LANGUAGES if has(key, lang)]
    lines = [line.partition("   ")[0] for text in texts for line in text.strip().splitlines()]
    return list(dict.fromkeys(lines))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: "-".join(page) or "probe")
def test_help_is_one_screen_and_names_every_option(page: tuple[str, ...], tmp_path: Path) -> None:
    for lang in LANGUAGES:
        short = run_probe(*page, "--help", "--lang", lang, folder=tmp_path, COLUMNS="80")
        whole = run_probe(*page, "--help", "-v", "--lang", lang, folder=tmp_path, COLUMNS="80")
        narrow = run_probe(*page, "--help", "--lang", lang, folder=tmp_path, COLUMNS="60")
        lines = short.text.splitlines()
        assert (short.code, short.talk, whole.code) == (0, "", 0)
        assert len(lines) <= 40
        assert max(cell_width(line) for line in lines) <= 80
        assert len(narrow.text.splitlines()) <= 56
        assert max(cell_width(line) for line in narrow.text.splitlines()) <= 60
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", whole.text)) - {"--help"}
        assert {option for option in options if option not in short.text} == set()
        assert "cli." not in whole.text  # a message key shown raw


@pytest.mark.parametrize("page", PAGES, ids=lambda page: "-".join(page) or "probe")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page_ends_with_two_to_four_examples(page: tuple[str, ...], lang: str) -> None:
    lines = t("cli.example." + ("_".join(page) or "probe"), lang).strip().splitlines()
    assert 2 <= len(lines) <= 4


@pytest.mark.parametrize(
    "arguments", [("--lang", "ko", "check", "--help"), ("check", "--help", "--lang", "ko")]
)
def test_korean_help_wherever_the_language_stands(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert "사용법: probe check MODEL [옵션]" in run_probe(*arguments, folder=tmp_path).text


def test_korean_help_of_a_command_by_the_systems_language(tmp_path: Path) -> None:
    found = run_probe("train", "--help", folder=tmp_path, LC_ALL="", LC_MESSAGES="", LANG="ko_KR.eucKR")
    assert "사용법: probe train MODEL [옵션]" in found.text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("examples"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("line", examples())
def test_examples_in_help_work_as_printed(line: str, folder: Path, tmp_path: Path) -> None:
    done = run_line(line, folder, tmp_path / "here")
    assert done.code in ((0, 1) if MAY_SAY_NO.match(line) else (0,)), done.stderr
    is_quiet = ("catalog add", "--output", ">", "probe mcp")  # a server says nothing before it is asked
    assert done.stdout or done.stderr or any(part in line for part in is_quiet)
