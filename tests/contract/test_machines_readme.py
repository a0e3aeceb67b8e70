"""The table of pitfalls names tests and folders that exist: a renamed test leaves no promise behind."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "tests" / "machines" / "README.md"
FOLDERS = {path.parent.name for path in (ROOT / "tests" / "machines").glob("*/recording.json")}


def rows() -> list[str]:
    text = README.read_text(encoding="utf-8").partition("## Where each pitfall is held")[2]
    return [line for line in text.splitlines() if line.startswith("|") and not line.startswith("| ---")]


def sources() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py")}


def test_named_tests_exist() -> None:
    texts = sources()
    missing = []
    for name in re.findall(r"`(test_\w+(?:::\w+)?)`", "\n".join(rows())):
        file, _, function = name.partition("::")
        if file not in texts or (function and f"def test_{function}(" not in texts[file]):
            missing.append(name)
    assert missing == []


def test_named_machines_exist() -> None:
    starts = ("linux-", "docker-", "slurm-", "wsl2-", "windows-", "macos-")
    words = {word for word in re.findall(r"[\w.-]+", "\n".join(rows())) if word.startswith(starts)}
    assert words - FOLDERS == set()


def test_every_row_has_a_test_a_machine_or_a_reason() -> None:
    for row in rows():
        held = row.split("|")[-2]
        if held.strip() in ("held by", ""):
            continue
        named = "`test_" in held or any(folder in held for folder in FOLDERS)
        assert named or "not testable here" in held, row


def test_every_machine_stands_in_the_table_or_speaks_for_itself() -> None:
    """Machines that no row names: they hold what their name says, healthy."""
    text = "\n".join(rows())
    unnamed = {folder for folder in FOLDERS if folder not in text}
    assert len(unnamed) <= len(FOLDERS) // 4, sorted(unnamed)
