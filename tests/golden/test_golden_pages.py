"""Pages stay as a person last read them; `python -m tests.golden.pages` writes them anew."""

import pytest

from tests.golden.pages import FOLDER, golden_pages

PAGES = golden_pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_as_last_read(name: str) -> None:
    assert PAGES[name]() == (FOLDER / name).read_text(encoding="utf-8")


def test_no_page_is_left_over() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)
