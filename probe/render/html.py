"""Pages as one self-contained HTML file: templates, style and script inside, nothing fetched, ever.

Every page holds both languages and switches between them without a network.
Names from machines and files are hostile: templates escape everything, embedded
data carries no <, > or &, and the page's own policy lets no other script run.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from probe.catalog.files import read_data
from probe.messages import LANGUAGES, t
from probe.render.page import Page
from probe.render.text import clean

_DANGEROUS: Final = (
    ("&", "\\u0026"),
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("\N{LINE SEPARATOR}", "\\u2028"),
    ("\N{PARAGRAPH SEPARATOR}", "\\u2029"),
)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page that both languages share: a template that follows the section `after`."""

    template: str
    values: Mapping[str, Any]
    after: str


def render_html(
    pages: Mapping[str, Page],
    lang: str,
    *,
    figures: Sequence[Figure] = (),
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: object = None,
) -> str:
    """One HTML document of the same page in every language, opening in `lang`.

    Args:
        pages: the page in each language, equal in their sections.
        figures: drawings and tables that stand between the sections.
        styles, scripts: files of reports/templates besides the base's own.
        data: what the scripts read, as JSON.
    """
    script_texts = [asset(name) for name in ("base.js", *scripts)]
    return (
        _environment()
        .get_template("page.html")
        .render(
            lang=lang,
            languages=LANGUAGES,
            pages=pages,
            first=pages[lang],
            figures=figures,
            style=Markup("\n".join(asset(name) for name in ("base.css", *styles))),  # noqa: S704 - our files
            scripts=[Markup(text) for text in script_texts],  # noqa: S704 - our files
            script_hashes=[_hash(text) for text in script_texts],
            data=None if data is None else embedded_json(data),
        )
    )


def plain_html(page_in: Callable[[str], Page], lang: str) -> str:
    """One HTML document of a page without drawings, in every language, opening in `lang`."""
    return render_html({one: page_in(one) for one in LANGUAGES}, lang)


def embedded_json(value: object) -> Markup:
    """JSON that may stand inside a script element: no text in it can end the element or begin another."""
    text = msgspec.json.encode(value).decode("utf-8")
    for letter, written in _DANGEROUS:
        text = text.replace(letter, written)
    return Markup(text)  # noqa: S704 - <, > and & were replaced just above


@cache
def asset(name: str) -> str:
    """A file of reports/templates, its line ends as browsers count them."""
    return read_data(f"reports/templates/{name}").decode("utf-8").replace("\r\n", "\n")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    environment.globals["both"] = both
    environment.globals["t"] = t
    environment.filters["with_code"] = with_code
    return environment


def _harmless(value: object) -> object:
    """Text without control characters and direction marks; our own markup as it is."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def with_code(text: str) -> Markup:
    """A sentence whose words between backticks are set as code."""
    parts = clean(text).split("`")
    if len(parts) % 2 == 0:  # a lone backtick stays as it is
        return escape(clean(text))
    pieces = [
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    ]
    return Markup("").join(pieces)


def both(key: str, **values: Any) -> Markup:
    """The sentence in every language, of which the style sheet shows one."""
    spans = [
        Markup('<span lang="{}">{}</span>').format(lang, clean(t(key, lang, **values))) for lang in LANGUAGES
    ]
    return Markup("").join(spans)
