"""Text on a terminal: widths of Korean letters, foreign text made harmless, letters an encoding lacks."""

import re
import unicodedata
from typing import Final

# What a console code page may lack, and what says the same in ASCII.
_PLAIN: Final = {
    "─": "-",
    "━": "-",
    "│": "|",
    "·": "-",
    "×": "x",
    "±": "+/-",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "°": " deg",
    "“": '"',
    "”": '"',
    "’": "'",
    "–": "-",
    "—": "-",
    "\N{REGISTERED SIGN}": "(R)",
    "\N{TRADE MARK SIGN}": "(TM)",
}
# Cc control, Cf format (bidirectional overrides, zero width), Cs surrogate, Co private, Zl and Zp line ends
_PIECES: Final = re.compile(r"[^-]+-*|-+")
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """Text from a file or a device, safe to print on one line: no escape sequences, no direction marks."""
    if text.isascii() and text.isprintable():
        return text
    kept = [" " if unicodedata.category(letter) in _UNSAFE_CATEGORIES else letter for letter in text]
    return " ".join("".join(kept).split())


def cell_width(text: str) -> int:
    """Columns that a text takes in a terminal: two for a Korean letter."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def pad(text: str, width: int) -> str:
    """The text filled with blanks to `width` columns; longer text stays as it is."""
    return text + " " * max(width - cell_width(text), 0)


def wrap(text: str, width: int) -> list[str]:
    """The text broken at blanks into lines of at most `width` columns; longer words stay whole."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}" if line else word
        if line and cell_width(candidate) > width:
            lines.append(line)
            line = word
        else:
            line = candidate
    return [*lines, line] if line else lines or [""]


def pieces(text: str) -> list[str]:
    """What may not be broken: words, and the parts of a name that end in a hyphen."""
    return [piece for word in text.split() for piece in _PIECES.findall(word)]


def wrap_pieces(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns: broken at blanks, in longer words after hyphens."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        parts = [word] if cell_width(word) <= width else _PIECES.findall(word)
        for place, part in enumerate(parts):
            blank = " " if line and place == 0 else ""
            if line and cell_width(f"{line}{blank}{part}") > width:
                lines.append(line)
                line, blank = "", ""
            line = f"{line}{blank}{part}"
    return [*lines, line] if line else lines or [""]


def fit_encoding(text: str, encoding: str) -> str:
    """The text with letters that `encoding` lacks replaced by ASCII that says the same, else by `?`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        pass
    else:
        return text
    return "".join(_fit_letter(letter, encoding) for letter in text)


def _fit_letter(letter: str, encoding: str) -> str:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(letter, "?")
    return letter
