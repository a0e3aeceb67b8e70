"""The report as one HTML file: the page's sections, the machine as a drawing, and a table to search."""

import msgspec

from probe.messages import LANGUAGES
from probe.render.figures import gib
from probe.render.html import Figure, render_html
from probe.render.html_drawings import PARTS, first_pick, pools, speed_scale
from probe.render.html_models import table_data
from probe.render.page import Page
from probe.render.report_page import report_page
from probe.report.documents import ReportDocument
from probe.report.model_figures import FigureTable
from probe.report.translate import report_in

_ORDER = (
    "deciding",
    "recommendations",
    "size_map",
    "by_verdict",
    "routes",
    "findings",
    "engines",
    "how",
)


def report_html(report: ReportDocument, lang: str, figures: FigureTable | None = None) -> str:
    """The whole report, opening in `lang`.

    Args:
        figures: every model at several settings for the searchable table; without it (a
            report of another machine) the page lists models by verdict only.
    """
    pages = {one: _ordered(report_page(report_in(report, one), one)) for one in LANGUAGES}
    pick = first_pick(report)
    drawn = [
        Figure(
            template="picture.html",
            after="deciding",
            values={
                "pick": pick,
                "pools": pools(report.machine, pick),
                "speeds": speed_scale(report, LANGUAGES),
                "gib": gib,
                "languages": LANGUAGES,
                "parts": PARTS,
            },
        )
    ]
    if figures is not None:
        drawn.append(
            Figure(template="models.html", after="by_verdict", values={"count": len(figures.models)})
        )
    return render_html(
        pages,
        lang,
        figures=drawn,
        styles=("report.css",),
        scripts=("models.js",) if figures is not None else (),
        data=None if figures is None else table_data(figures),
    )


def _ordered(page: Page) -> Page:
    """What to do comes before what else there is."""
    by_id = {section.id: section for section in page.sections}
    first = [by_id[name] for name in _ORDER if name in by_id]
    others = [section for section in page.sections if section.id not in _ORDER]
    return msgspec.structs.replace(page, sections=(*first, *others))
