"""The pages that people read in review, and how each is made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from probe.render.check_page import check_page
from probe.render.markdown import render_markdown
from probe.render.report_page import report_page
from probe.render.scan_page import scan_page
from probe.render.terminal import render_terminal
from tests.golden.documents import CHECKS, REPORTS

FOLDER: Final = Path(__file__).parent / "pages"
WIDTHS: Final = (60, 80, 120)


def _report(name: str, lang: str, width: int) -> Callable[[], str]:
    return lambda: render_terminal(report_page(REPORTS[name](lang), lang), width=width)


def _markdown(name: str, lang: str) -> Callable[[], str]:
    return lambda: render_markdown(report_page(REPORTS[name](lang), lang))


def _scan(name: str, lang: str) -> Callable[[], str]:
    return lambda: render_terminal(scan_page(REPORTS[name](lang).machine, lang, verbose=True), width=80)


def _check(name: str, lang: str) -> Callable[[], str]:
    return lambda: render_terminal(check_page(CHECKS[name](lang), lang, explain=True), width=80)


def golden_pages() -> Mapping[str, Callable[[], str]]:
    """File name and maker of every golden page."""
    pages: dict[str, Callable[[], str]] = {}
    for lang in ("ko", "en"):
        for name in REPORTS:
            pages.update({f"{name}.{lang}.{width}.txt": _report(name, lang, width) for width in WIDTHS})
            pages[f"scan_{name}.{lang}.txt"] = _scan(name, lang)
        for name in CHECKS:
            pages[f"{name}.{lang}.txt"] = _check(name, lang)
        pages[f"office_pc.{lang}.md"] = _markdown("office_pc", lang)
    return pages


def write_pages() -> None:
    """Write every page anew: `python -m tests.golden.pages`; read the difference before committing it."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in golden_pages().items():
        (FOLDER / name).write_text(make(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_pages()
