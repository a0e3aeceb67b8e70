"""What is known about a model's languages: Korean first, since only some of its others were looked up."""

from collections.abc import Sequence

from probe.messages import t

_SHOWN = 8


def korean_state(codes: Sequence[str], status: str | None) -> str:
    """verified, claimed, listed (a document that holds no status), not_listed or unknown."""
    if status is not None:
        return status
    if "ko" in codes:
        return "listed"
    return "not_listed" if codes else "unknown"


def korean_text(codes: Sequence[str], status: str | None, lang: str) -> str:
    """Whether the model speaks Korean and how that is known."""
    return t(f"catalog_fields.korean.{korean_state(codes, status)}", lang)


def korean_word(codes: Sequence[str], status: str | None, lang: str) -> str:
    """The same in one word, for tables."""
    return t(f"catalog_fields.korean_short.{korean_state(codes, status)}", lang)


def other_languages(codes: Sequence[str], lang: str) -> str | None:
    """The other languages that are named, a limited number; None where no list was read."""
    others = [code for code in codes if code != "ko"]
    if len(others) <= _SHOWN:
        return ", ".join(others) or None
    named = ", ".join(others[:_SHOWN])
    return t("catalog_fields.language.more", lang, codes=named, count=len(others) - _SHOWN)
