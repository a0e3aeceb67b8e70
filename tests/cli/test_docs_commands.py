"""Every command that docs/ prints is run as it stands; its exit code is the one the page says."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe.cli.main import COMMANDS
from tests.cli.example_folder import MAY_SAY_NO, ROOT, make_folder, run_line
from tests.cli.program import run_probe
from tests.cli.test_help import examples

PAGES = sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(r"^```console(?P<how>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(probe(?: [^`\n]*)?)`(?!`)")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")


def commands() -> Iterator[tuple[str, str]]:
    """Each command of a block once, and what stands behind `console`: `exit=1`, `online` or nothing.

    Examples of the help are left out: test_help.py runs them.
    """
    seen = {f"$ {line}" for line in examples()}
    for page in PAGES:
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            for line in block["body"].splitlines():
                if line.startswith("$ ") and " probe" in line and line not in seen:
                    seen.add(line)
                    yield line.removeprefix("$ "), block["how"].strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("docs"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(("line", "how"), list(commands()))
def test_commands_in_the_docs_work_as_printed(line: str, how: str, folder: Path, tmp_path: Path) -> None:
    done = run_line(line, folder, tmp_path / "here")
    if how == "online":
        assert done.code == 2  # org/name is no repository, and tests have no network
    elif how == "exit=1":
        assert done.code == 1, done.stderr
    else:
        # Of the machine that runs the tests nobody knows whether a model runs on it.
        here = MAY_SAY_NO.match(line) and "--as" not in line and "--machine" not in line
        assert done.code in ((0, 1) if here else (0,)), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout or done.stderr or ">" in line


def test_the_pages_print_enough_commands_to_be_worth_this_test() -> None:
    assert len(list(commands())) >= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_commands_stand_only_where_they_are_run(page: Path) -> None:
    """A command in a block of another kind would escape the test above."""
    rest = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"^(?:\$ | {4})probe .*$", rest, re.MULTILINE) == []


def test_commands_within_sentences_exist(tmp_path: Path) -> None:
    """`probe check MODEL --explain` in a sentence: the command is one of ours, the option one of its own."""
    named = {text for page in PAGES for text in _INLINE.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 10
    helps: dict[str, str] = {}
    for text in sorted(named):
        words = text.split()[1:]
        command = words[0] if words and words[0] in COMMANDS else ""
        below = [command] if command else []
        if command == "catalog" and len(words) > 1 and words[1] in ("list", "show", "add", "validate"):
            below.append(words[1])
        assert command or not words or words[0].startswith("-"), text
        key = " ".join(below)
        if key not in helps:
            helps[key] = run_probe(*below, "--help", "-v", folder=tmp_path).text
        assert [option for option in _OPTION.findall(text) if option not in helps[key]] == [], text
