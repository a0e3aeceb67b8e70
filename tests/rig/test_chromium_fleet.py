"""The group's dashboard in a real Chromium: made from a folder of bad files, filtered, sorted, attacked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from probe.fleet.scan import scan_folder
from probe.fleet.summary import build_fleet
from probe.messages import LANGUAGES
from probe.render.fleet_html import fleet_html
from tests.rig.chromium_rig import Browser, browser, missing
from tests.unit.fleet_folders import NOW_S
from tests.unit.fleet_hostile_files import write_hostile_folder

LACKING: Final = missing()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(
        LACKING is not None, reason=f"NO CHROMIUM HERE, DASHBOARD UNTESTED: missing {LACKING}"
    ),
    # chromedriver's own sockets
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_hostile_folder(tmp_path_factory.mktemp("group"))
    fleet = scan_folder(folder)
    documents = {
        lang: build_fleet(
            fleet, folder=folder, lang=lang, now_s=NOW_S, created_at="2026-11-21T10:00:00Z", with_models=True
        )
        for lang in LANGUAGES
    }
    path = tmp_path_factory.mktemp("공유") / "모임 #1.html"
    path.write_text(fleet_html(documents, "ko"), encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="module")
def window(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        one.resize(1200)
        yield one


@pytest.fixture(autouse=True)
def _opened(window: Browser, page: Path) -> None:
    window.open(page)


def hosts(window: Browser) -> list[str]:
    return window.texts("#fleet-table tbody th")


def test_nothing_foreign_runs_and_nothing_is_asked_for(window: Browser) -> None:
    window.click("[data-set-lang=en]")
    window.choose("model", 1)
    assert not window.alerts()
    assert (
        window.run("return document.querySelectorAll('main img, main svg[onload], main script').length") == 0
    )
    assert (window.complaints(), window.requests()) == ([], set())


def test_filters_find_who_can_run_a_model(window: Browser) -> None:
    """The server runs 32B; the office PCs do not."""
    everybody = hosts(window)
    names = window.run("return [...document.querySelector('[name=model]').options].map(one => one.text)")
    window.choose("model", names.index("Qwen3-32B"))
    window.choose("show", 1)
    assert hosts(window) == ["good-server"]
    window.choose("model", 0)
    window.type("[name=search]", "p100")
    assert hosts(window) == ["good-server"]
    window.type("[name=search]", "nobody has this")
    assert hosts(window) == []
    assert len(everybody) > 5


def test_columns_sort_both_ways(window: Browser) -> None:
    window.click("[data-sort=ram]")
    assert hosts(window)[0] == "good-server"
    assert (
        window.run("return document.querySelector('[data-column=ram]').getAttribute('aria-sort')")
        == "descending"
    )
    window.click("[data-sort=ram]")
    assert hosts(window)[0] != "good-server"


def test_the_address_of_the_server_stands_beside_the_wish(window: Browser) -> None:
    assert "http://10.0.0.9:8000" in window.texts("#fleet-table code")
    assert window.run("return document.querySelectorAll('main a[href]').length") == 0


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_is_no_wider_than_the_screen(window: Browser, width: int) -> None:
    window.resize(width)
    assert window.run("return document.documentElement.scrollWidth") <= width
    window.resize(1200)
