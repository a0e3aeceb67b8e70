"""Every sentence a person reads, in Korean and English.

`t("findings.nouveau.title", lang="ko", name="RTX 4090")`: the part before the
first point names the file (`ko/findings.toml`), the rest the entry. Files are
read when first asked for, so a page pays only for its own topics.

Placeholders take unit formats: `{need_bytes:gib}`, `{file_bytes:gb}`,
`{rate:gbs}`, `{speed:toks}`, `{share:pct}`, `{n:int}`; None prints the word for
unknown. Korean particles that depend on the last letter are written as pairs,
`{name}은(는)`: the sentence gets the form that fits the value (`particles.py`).
"""

import string
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from probe.errors import CatalogError, FactValue
from probe.units import format_gb, format_gb_per_s, format_gib, format_tokens_per_s

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES: Final = ("en", "ko")
_FOLDER: Final = Path(__file__).parent
_UNKNOWN: Final = {"en": "unknown", "ko": "알 수 없음"}
_FORMATS: Final[Mapping[str, Callable[[float], str]]] = {
    "gib": format_gib,
    "gb": format_gb,
    "gbs": format_gb_per_s,
    "toks": format_tokens_per_s,
    "pct": lambda value: f"{value * 100:.0f} %",
    "int": lambda value: f"{value:,.0f}",
}


class _Formatter(string.Formatter):
    """str.format with our unit formats; unknown values print the word for unknown."""

    def __init__(self, lang: str) -> None:
        self._unknown = _UNKNOWN[lang]

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return self._unknown
        if format_spec in _FORMATS:
            return _FORMATS[format_spec](value)
        return str(super().format_field(value, format_spec))


@cache
def _topic(topic: str, lang: str) -> Mapping[str, Any]:
    path = _FOLDER / lang / f"{topic}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CatalogError("input.messages_damaged", path=str(path)) from error


@cache
def _template(key: str, lang: str) -> str | None:
    topic, _, rest = key.partition(".")
    node: Any = _topic(topic, lang)
    for part in rest.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node if isinstance(node, str) else None


@cache
def _formatter(lang: str) -> _Formatter:
    return _Formatter(lang)


def has(key: str, lang: str) -> bool:
    """Whether a sentence with this key exists."""
    return _template(key, lang) is not None


def t(key: str, lang: str, **values: FactValue) -> str:
    """The sentence for `key` in `lang` ("ko" or "en"), placeholders filled.

    Raises:
        KeyError: no such sentence, or a placeholder without its value (a bug of ours; the
            tests compare every key and placeholder of both languages).
    """
    template = _template(key, lang)
    if template is None:
        raise KeyError(key)
    if lang != "ko" or "(" not in template:
        return _formatter(lang).vformat(template, (), values)
    # Imported here: English sentences and most Korean ones have no pairs of particles.
    from probe.messages.particles import marked, settled

    return settled(_formatter(lang).vformat(marked(template), (), values))
