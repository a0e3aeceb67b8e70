"""How figures are written: one spelling for every page and format."""

from collections.abc import Callable, Sequence
from typing import Final

from probe.machine import ByteRange, Range
from probe.messages import has, t
from probe.recommender.answer import Verdict
from probe.render.page import Cell, Tone
from probe.units import GIB, MIB, format_gb_per_s, format_gib, format_tokens_per_s

_TO: Final = {"en": "-", "ko": "~"}
_TONES: Final = {
    Verdict.COMFORTABLE: Tone.GOOD,
    Verdict.USABLE: Tone.FAIR,
    Verdict.SLOW: Tone.POOR,
    Verdict.NO: Tone.BAD,
    Verdict.UNKNOWN: Tone.FAINT,
}


def verdict_tone(verdict: Verdict) -> Tone:
    """The colour that stresses a verdict."""
    return _TONES[verdict]


def verdict_word(verdict: Verdict, lang: str) -> str:
    """The one word for a verdict."""
    return t(f"verdicts.{verdict.value}.word", lang)


def verdict_short(verdict: Verdict, lang: str) -> str:
    """The word where there is little room."""
    return t(f"verdicts.{verdict.value}.short", lang)


def verdict_cell(verdict: Verdict, lang: str) -> Cell:
    """A table cell that holds a verdict."""
    return Cell(verdict_word(verdict, lang), verdict_tone(verdict), verdict_short(verdict, lang))


def gib(size_bytes: float | None, lang: str) -> str:
    """Memory in GiB, or the word for unknown. Below 0.1 GiB in MiB, so that nothing real reads as 0."""
    if size_bytes is None:
        return unknown(lang)
    if 0 < size_bytes < MIB:
        return "< 1 MiB"
    if 0 < size_bytes < 0.1 * GIB:
        return f"{size_bytes / MIB:,.0f} MiB"
    return format_gib(size_bytes)


def gib_range(size: ByteRange, lang: str) -> str:
    """A size between two ends."""
    if size.low == size.high:
        return gib(size.value, lang)
    return f"{gib(size.value, lang)} ({size.low / GIB:.1f}{_TO[lang]}{size.high / GIB:.1f})"


def unknown(lang: str) -> str:
    """The word for a figure that is not known."""
    return t("page.unknown", lang)


def tokens_per_s(speed: Range | None, lang: str) -> str:
    """`45 tok/s (38-52)`: middle and ends; one figure where the ends are the same."""
    if speed is None:
        return unknown(lang)
    low, middle, high = (format_tokens_per_s(value) for value in (speed.low, speed.value, speed.high))
    if low == high:
        return t("page.tokens_per_s", lang, middle=middle)
    return t("page.tokens_per_s_range", lang, low=low, middle=middle, high=high)


def tokens_per_s_middle(speed: Range | None, lang: str) -> str:
    """`45`: the middle alone, for tables whose heading holds the unit."""
    return unknown(lang) if speed is None else format_tokens_per_s(speed.value)


def compact_tokens_per_s(speed: Range) -> str:
    """`45`, `1.5k`: the middle alone, at most four letters, for the map."""
    return format_tokens_per_s(speed.value) if speed.value < 999.5 else f"{speed.value / 1000:.1f}k"


def tokens_per_s_ends(speed: Range | None, lang: str) -> str:
    """`45 (38-52)`: middle and ends without the unit, for tables."""
    return unknown(lang) if speed is None else ends(speed, format_tokens_per_s, lang)


def ends(value: Range, write: Callable[[float], str], lang: str) -> str:
    """Middle and ends, each spelled by `write`: `45 (38-52)`; in Korean `45 (38~52)`."""
    low, middle, high = write(value.low), write(value.value), write(value.high)
    return middle if low == high else f"{middle} ({low}{_TO[lang]}{high})"


def bandwidth(value: Range | None, lang: str) -> str:
    """`1,008 GB/s`, or `30.0 GB/s (17.0-41.0)` where it is only known between two ends."""
    if value is None:
        return unknown(lang)
    if value.low == value.high:
        return format_gb_per_s(value.value)
    low, high = (format_gb_per_s(figure).removesuffix(" GB/s") for figure in (value.low, value.high))
    return f"{format_gb_per_s(value.value)} ({low}{_TO[lang]}{high})"


def basis(code: str, lang: str) -> str:
    """Where a figure comes from, in words where we have them."""
    key = f"page.basis.{code.partition(':')[0].replace('-', '_')}"
    return t(key, lang) if has(key, lang) else code


def seconds(value: float | None, lang: str) -> str:
    """`1.7 s`; minutes above two."""
    if value is None:
        return unknown(lang)
    if value >= 120:
        return t("page.minutes", lang, minutes=f"{value / 60:,.0f}")
    return t("page.seconds", lang, seconds=f"{value:.1f}" if value < 10 else f"{value:,.0f}")


def params(count: int | None, lang: str) -> str:
    """`8.0B`: parameters in the field's spelling."""
    if count is None:
        return unknown(lang)
    billions = count / 1e9
    if billions < 1:
        return f"{count / 1e6:.0f}M"
    return f"{billions:.1f}B" if billions < 100 else f"{billions:,.0f}B"


def params_pair(total: int | None, active: int | None, lang: str) -> str:
    """`671B (37.0B active)` for a mixture of experts, the total alone otherwise."""
    written = params(total, lang)
    if total is None or active is None or active >= 0.9 * total:
        return written
    return t("page.params_active", lang, total=written, active=params(active, lang))


def counted(key: str, count: int) -> str:
    """The key of a sentence about `count` things: English says one thing and two things."""
    return f"{key}_one" if count == 1 else key


def count_of(count: int, name: str) -> str:
    """`2 × Tesla P100`, or the name alone."""
    return f"{count} × {name}" if count > 1 else name


def joined(parts: Sequence[str | None], separator: str = " · ") -> str:
    """The parts that say something, side by side."""
    return separator.join(part for part in parts if part)
