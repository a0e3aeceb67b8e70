"""Write the example reports people look at: `python scripts/build_examples.py [--check]`.

Four machines in reports/examples/, each as an HTML page (Korean, switches to
English) and as Markdown in both languages, and the dashboard of a group. Recorded machines where there is a
recording; the time is fixed, so that only a changed answer changes a file.
`--check` writes nothing and exits 1 when a file is not what the program prints now.
"""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.fleet.scan import scan_folder
from probe.fleet.summary import build_fleet
from probe.machine import Machine
from probe.messages import LANGUAGES
from probe.recommender.options import Options
from probe.render.fleet_html import fleet_html
from probe.render.html_report import report_html
from probe.render.markdown import render_markdown
from probe.render.report_page import report_page
from probe.report.build import build_report
from probe.report.encode import to_json
from probe.report.model_figures import figure_table
from probe.report.translate import report_in

FOLDER = ROOT / "reports" / "examples"
RECORDINGS = ROOT / "tests" / "machines"
CREATED_AT = "2026-11-21T09:00:00Z"
# File name -> recording in tests/machines, or words as after --as; and the name in the report.
MACHINES = {
    "office-pc": ("linux-desktop-i5-8500", "office PC"),
    "rtx-4090-pc": ("linux-rtx4090", "RTX 4090 PC"),
    "server-2x-p100": ("linux-2x-p100-12gb", "shared server"),
    "mac-m4-max": ("M4 Max 64GB", "M4 Max"),
}

# The group of the dashboard: name in its report -> recording or words, and the address of a server.
GROUP = {
    "kim-pc": ("linux-desktop-i5-8500", None),
    "lee-pc": ("Core i5-8500; 8GB DDR4-2666 x1; windows 11", None),
    "park-pc": ("Core i5-12400; 16GB DDR4-3200 x2; windows 11", None),
    "choi-pc": ("Core i5-12400; 16GB DDR4-3200 x2; windows 11", None),
    "jung-laptop": ("linux-laptop-rtx4060-battery", None),
    "han-mac": ("M2 16GB", None),
    "yoon-pc": ("linux-rtx4090", None),
    "gpu-server": ("linux-2x-p100-12gb", "http://gpu-server.example:8000/v1"),
    "spark": ("linux-dgx-spark-gb10", "http://spark.example:8000/v1"),
}


def _machine(source: str) -> Machine:
    folder = RECORDINGS / source
    return enrich(scan_machine(RecordedHost(folder), deadline_s=30) if folder.is_dir() else from_spec(source))


def examples() -> Iterator[tuple[str, str]]:
    """File name and text of every example."""
    for name, (source, alias) in MACHINES.items():
        machine, options = _machine(source), Options(alias=alias)
        report = build_report(machine, options, lang="ko", created_at=CREATED_AT)
        yield f"{name}.html", report_html(report, "ko", figure_table(machine, options))
        for lang in LANGUAGES:
            yield f"{name}.{lang}.md", render_markdown(report_page(report_in(report, lang), lang))
    yield "group.html", group_page()


def group_page() -> str:
    """The dashboard of the group, made as `probe fleet` makes it: from a folder of reports."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "group"
        folder.mkdir()
        for name, (source, address) in GROUP.items():
            asked = Options(alias=name, api_url=address)
            report = build_report(_machine(source), asked, lang="ko", created_at=CREATED_AT)
            (folder / f"{name}.json").write_bytes(to_json(report, pretty=False))
        fleet = scan_folder(folder)
        documents = {
            lang: build_fleet(
                fleet,
                folder=folder,
                lang=lang,
                now_s=datetime.fromisoformat(CREATED_AT.replace("Z", "+00:00")).timestamp(),
                created_at=CREATED_AT,
                with_models=True,
            )
            for lang in LANGUAGES
        }
    return fleet_html(documents, "ko")


def main() -> int:
    """Write or compare every example."""
    check = "--check" in sys.argv[1:]
    stale = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in examples():
        path = FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print("stale, run scripts/build_examples.py and look at them:", ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
