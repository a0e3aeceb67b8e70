"""The pages of docs/ lead somewhere, and say the same in both languages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NAMES = sorted({page.name for page in DOCS.glob("??/*.md")})
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page make, as GitHub names them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_nothing_leads_outside_the_project(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    inside = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert all((page.parent / link).resolve().is_relative_to(ROOT) for link in inside)


def outline(page: Path) -> list[object]:
    """Levels of headings, commands and rows of tables, in order."""
    found: list[object] = []
    text = page.read_text(encoding="utf-8")
    for kind, line in re.findall(r"^(#+ |\$ |\|)(.*)$", text, re.MULTILINE):
        if kind == "$ ":
            found.append(re.sub(r" --lang (ko|en)|[가-힣]\S*", "", line))
        else:
            found.append(kind.strip() if kind != "|" else f"row of {line.count('|')}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_sections_commands_and_tables(name: str) -> None:
    assert outline(DOCS / "en" / name) == outline(DOCS / "ko" / name)


@pytest.mark.parametrize("name", NAMES)
def test_korean_pages_are_korean_and_english_ones_english(name: str) -> None:
    korean = (DOCS / "ko" / name).read_text(encoding="utf-8")
    english = (DOCS / "en" / name).read_text(encoding="utf-8")
    letters = sum("가" <= letter <= "힣" for letter in korean)
    assert letters > len(_FENCED.sub("", korean)) * 0.15
    assert not any("가" <= letter <= "힣" for letter in english)


def test_the_index_names_every_page() -> None:
    links = set(_LINK.findall((DOCS / "README.md").read_text(encoding="utf-8")))
    assert {f"{lang}/{name}" for lang in ("en", "ko") for name in NAMES} - links == set()
