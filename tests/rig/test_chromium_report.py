"""The report in a real Chromium: opened from a file, used, printed, attacked."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.machine import Attempt, AttemptResult, Disk, Machine
from probe.recommender.options import Options
from probe.render.check_page import check_page
from probe.render.html import render_html
from probe.render.html_report import report_html
from probe.report.build import build_check, build_report
from probe.report.model_figures import FigureTable, figure_table
from tests.fakes.patience import wait_until
from tests.rig.chromium_rig import Browser, browser, missing

LACKING: Final = missing()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(LACKING is not None, reason=f"NO CHROMIUM HERE, PAGES UNTESTED: missing {LACKING}"),
    # chromedriver's own sockets
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
OFFICE: Final = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"
SERVER: Final = "2x Tesla P100 12GB; 2x Xeon E5-2690 v4; 128GB DDR4-2400 x8; ubuntu 22.04"
BAIT: Final = (
    "<script>window.hacked=1;alert(1)</script>",
    "</script><script>window.hacked=1;alert(1)</script>",
    '"><img src=x onerror="window.hacked=1;alert(1)">',
    "<!--<script>",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "\u2028\u202e\x1b[31m<svg/onload=alert(1)>",
    "=cmd|' /C calc'!A0 &lt;b&gt;",
)


@cache
def office_figures() -> FigureTable:
    return figure_table(enrich(from_spec(OFFICE)), Options())


def page_of(machine: Machine, lang: str = "ko", figures: FigureTable | None = None) -> str:
    """The report of any machine; the table is the office PC's, which is computed once."""
    report = build_report(machine, Options(), lang=lang, created_at="2026-11-20T09:00:00Z")
    return report_html(report, lang, figures or office_figures())


def saved(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("공유 폴더")
    return saved(folder, "김철수 PC #1.html", page_of(enrich(from_spec(OFFICE))))


@pytest.fixture(autouse=True)
def _fresh(window: Browser, office: Path) -> None:
    window.resize(1200)
    window.prefer("light")
    window.open(office)
    window.run("localStorage.clear()")
    window.open(office)


def silent(window: Browser) -> None:
    assert window.complaints() == []
    assert window.requests() == set()


def test_opens_in_korean_and_asks_for_nothing(window: Browser) -> None:
    assert "돌릴 수 있는 모델" in window.run("return document.title")
    assert window.texts("h2")[0] == "성능을 결정하는 것"
    assert window.texts("#model-count") != [""]
    silent(window)


def test_switches_to_english_everywhere_and_remembers_it(window: Browser, office: Path) -> None:
    window.click("[data-set-lang=en]")
    assert window.run("return document.documentElement.lang") == "en"
    shown = window.run("return document.body.innerText").replace("한국어", "")
    assert not [letter for letter in shown if "가" <= letter <= "힣"]
    assert window.run("return document.title").endswith("can run")
    assert window.run("return document.querySelector('select[name=purpose] option').textContent") == "Any"
    window.open(office)
    assert window.run("return document.documentElement.lang") == "en"
    silent(window)


def test_brightness_follows_the_system_and_the_switch(window: Browser) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = window.run(ground)
    window.prefer("dark")
    dark = window.run(ground)
    assert light != dark
    window.click("[data-set-theme=light]")
    assert window.run(ground) == light
    window.prefer("light")
    window.click("[data-set-theme=dark]")
    assert window.run(ground) == dark
    assert window.texts("[data-set-theme][aria-pressed=true]") == ["어둡게"]


def shown(window: Browser) -> int:
    return int(window.texts("#model-count")[0].split("개")[0])


def test_the_table_filters_by_every_selector(window: Browser) -> None:
    usual = shown(window)
    window.choose("purpose", 2)
    korean = shown(window)
    assert 0 < korean < usual
    window.choose("show", 1)
    comfortable = shown(window)
    assert comfortable < korean
    assert set(window.texts("#model-table tbody td:last-child")) <= {"쾌적"}
    window.choose("show", 2)
    window.choose("purpose", 0)
    everything = shown(window)
    assert everything > usual
    window.type("input[name=search]", "exaone 1.2b")
    assert all("exaone" in name.lower() for name in window.texts("#model-table tbody th"))
    assert 0 < shown(window) < 10
    window.type("input[name=search]", "nobody made this")
    assert window.texts("#model-table tbody th") == []
    assert window.texts("#model-count") == ["조건에 맞는 모델이 없습니다."]
    silent(window)


def test_a_longer_context_and_more_bits_take_more_memory(window: Browser) -> None:
    def memory() -> float:
        (row,) = [
            row
            for row in window.run(
                "return [...document.querySelectorAll('#model-table tbody tr')]"
                ".map(row => [...row.cells].map(cell => cell.innerText))"
            )
            if row[0] == "Qwen3-4B"
        ]
        return float(row[5].removesuffix(" GiB"))

    window.type("input[name=search]", "qwen3-4b")
    window.choose("show", 2)
    window.choose("quantization", 1)
    window.choose("context", 0)
    short = memory()
    window.choose("context", 2)
    long = memory()
    window.choose("quantization", 3)
    assert short < long < memory()


def test_every_column_sorts_both_ways(window: Browser) -> None:
    for column, place in (("name", 1), ("size", 2), ("quality", 3), ("speed", 5), ("memory", 6)):
        window.click(f"button[data-sort={column}]")
        first = window.texts(f"#model-table tbody tr > :nth-child({place})")
        window.click(f"button[data-sort={column}]")
        assert window.texts(f"#model-table tbody tr > :nth-child({place})")[0] != first[0]
    sorted_by = "return document.querySelector('th[aria-sort]').dataset.column"
    assert window.run(sorted_by) == "memory"
    window.click("button[data-sort=speed]")
    speeds = [float(text) for text in window.texts("#model-table tbody td:nth-child(5)")]
    assert speeds == sorted(speeds, reverse=True)
    before = len(speeds)
    window.click("#model-more")
    assert len(window.texts("#model-table tbody tr")) > before


def test_the_whole_page_works_by_keyboard(window: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    keys = window.driver.switch_to.active_element
    keys.send_keys(Keys.TAB)
    assert window.run("return document.activeElement.className") == "skip"
    for _ in range(2):
        window.driver.switch_to.active_element.send_keys(Keys.TAB)
    window.driver.switch_to.active_element.send_keys(Keys.SPACE)
    assert window.run("return document.documentElement.lang") == "en"


def test_a_command_is_copied_whole(window: Browser) -> None:
    window.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    command = window.texts("#recommendations .command code")[0]
    window.click("#recommendations div[lang=ko] .copy")
    script = "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done(String(e)))"
    assert wait_until(lambda: window.driver.execute_async_script(script) == command)
    assert command.startswith(("llama-server ", "ollama run "))


CONTRAST: Final = """
function rgb(text) { return text.match(/[\\d.]+/g).map(Number); }
function light(color) {
  const [r, g, b] = color.slice(0, 3)
    .map(part => part / 255 <= .03928 ? part / 3294.6 : ((part / 255 + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function ground(node) {
  for (; node; node = node.parentElement) {
    const color = rgb(getComputedStyle(node).backgroundColor);
    if (color.length === 3 || color[3] > .99) { return color; }
  }
  return [255, 255, 255];
}
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  const shown = walker.currentNode.data.trim() && node.getClientRects().length;
  if (!shown || node.closest('script, svg')) { continue; }
  const a = light(rgb(getComputedStyle(node).color)), b = light(ground(node));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) { bad.push([walker.currentNode.data.trim().slice(0, 30), ratio.toFixed(2)]); }
}
return bad;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_the_contrast_that_weak_eyes_need(window: Browser, theme: str) -> None:
    """WCAG AA: 4.5 to 1."""
    window.click(f"[data-set-theme={theme}]")
    window.choose("show", 2)
    assert window.run(CONTRAST) == []


def test_the_page_has_landmarks_headings_and_table_headers(window: Browser) -> None:
    count = "return document.querySelectorAll(arguments[0]).length"
    assert window.run(count, "main") == 1
    assert window.run(count, "header.bar") == 1
    assert window.run(count, "footer") == 1
    assert window.run(count, "td:first-child") == 0  # every row begins with its header
    assert window.run(count, "th:not([scope])") == 0
    assert (
        window.run(count, "main svg:not([aria-hidden] *):not([aria-hidden])") == 0
    )  # said in words beside it
    assert window.run("return [...document.querySelectorAll('[id]')].length") == window.run(
        "return new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size"
    )
    visible = "return [...document.querySelectorAll('h1')].filter(one => one.getClientRects().length).length"
    assert window.run(visible) == 1
    unnamed = (
        "return [...document.querySelectorAll('button, select, input')]"
        ".filter(one => one.getClientRects().length)"
        ".filter(one => !(one.innerText || one.labels?.[0]?.innerText || '').trim())"
        ".length"
    )
    assert window.run(unnamed) == 0


def test_a_phone_needs_no_scrolling_sideways(window: Browser) -> None:
    window.resize(360, 740, mobile=True)
    assert window.run("return document.documentElement.scrollWidth") <= 360
    small = (
        "return Math.min(...[...document.querySelectorAll('p, dd, li, td')]"
        ".filter(one => one.getClientRects().length)"
        ".map(one => parseFloat(getComputedStyle(one).fontSize)))"
    )
    assert window.run(small) >= 12


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_phone_shows_every_verdict_of_the_model_table(window: Browser, lang: str) -> None:
    """The verdict is the last column: what is cut off at the edge is the answer."""
    window.resize(390, 844, mobile=True)
    window.click(f"[data-set-lang={lang}]")
    cut = (
        "const edge = document.querySelector('#model-table').parentElement.getBoundingClientRect().right;"
        "return [...document.querySelectorAll('#model-table .pill')]"
        ".filter(one => one.getBoundingClientRect().right > edge + 1).length"
    )
    assert window.texts("#model-table .pill")
    assert window.run(cut) == 0


@pytest.mark.parametrize("spec", [OFFICE, SERVER, "RTX 4090; 64GB DDR5-5200 x2; windows 11", "M4 Max 64GB"])
def test_prints_to_two_sheets_in_either_language(window: Browser, tmp_path: Path, spec: str) -> None:
    window.open(saved(tmp_path, "print.html", page_of(enrich(from_spec(spec)))))
    window.click("[data-set-theme=dark]")
    for lang in ("ko", "en"):
        window.click(f"[data-set-lang={lang}]")
        assert window.printed_pages() == 2
    silent(window)


def hostile(machine: Machine) -> Machine:
    replace = msgspec.structs.replace
    device = machine.accelerators[0]
    return replace(
        machine,
        host=replace(machine.host, name=BAIT[1]),
        cpu=replace(machine.cpu, brand=BAIT[0]),
        accelerators=tuple(replace(device, index=place, name=bait) for place, bait in enumerate(BAIT)),
        disks=tuple(Disk(path=bait, kind=bait) for bait in BAIT),
        attempts=tuple(
            Attempt(source=bait, result=AttemptResult.FAILED, ms=1.0, detail=bait) for bait in BAIT
        ),
    )


def test_hostile_names_are_only_shown(window: Browser, tmp_path: Path) -> None:
    machine = hostile(enrich(from_spec(SERVER)))
    table = office_figures()
    models = tuple(
        msgspec.structs.replace(
            one, spec=msgspec.structs.replace(one.spec, name=BAIT[place % len(BAIT)], alias=BAIT[1])
        )
        for place, one in enumerate(table.models)
    )
    page = page_of(machine, "en", msgspec.structs.replace(table, models=models))
    window.open(saved(tmp_path, "hostile.html", page))
    window.choose("show", 2)
    window.click("#model-more")
    window.click("[data-set-lang=ko]")
    assert not window.alerts()
    assert window.run("return window.hacked") is None
    assert any("<script>" in text for text in window.texts("#model-table tbody th"))
    assert "<img src=x" in window.run("return document.body.innerText")
    silent(window)


def test_a_script_that_slipped_in_is_refused_by_the_page_itself(window: Browser, tmp_path: Path) -> None:
    page = page_of(enrich(from_spec(OFFICE))).replace("</main>", "<script>window.hacked=1</script></main>", 1)
    window.open(saved(tmp_path, "injected.html", page))
    assert window.run("return window.hacked") is None
    assert any("Content Security Policy" in line for line in window.complaints())


def test_a_page_of_one_model_switches_too(window: Browser, tmp_path: Path) -> None:
    from probe.catalog.models import find_model
    from probe.report.translate import check_in

    machine = enrich(from_spec(OFFICE))
    check = build_check(machine, find_model("exaone-4.0-1.2b"), Options(), lang="ko")
    pages = {lang: check_page(check_in(check, lang), lang, explain=True) for lang in ("ko", "en")}
    window.open(saved(tmp_path, "check.html", render_html(pages, "ko")))
    korean = window.texts(".headline")
    window.click("[data-set-lang=en]")
    assert window.texts(".headline") != korean
    silent(window)
