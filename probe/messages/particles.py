"""Korean particles that agree with the sound of the word before them.

The sentence files write both forms, `{name}은(는)`; the finished sentence has the one that fits the inserted
value. `marked` puts signs around the pairs of a template, `settled` resolves them after the values are in,
so that a pair inside a value (a file name) stays as it is. Where the reading is not certain (`Nomic`: is it
"nomik" or "nomikeu"?) both forms stay.

Read aloud as Koreans do: a syllable ends with a consonant when its code point says so, `(으)로` counts a
final rieul as a vowel (standard orthography, rule 18 and the particle's dictionary entry), what stands in
brackets after a word is not read, digits are Sino-Korean, capitals and words without vowels are spelled
letter by letter, other Latin words end as they are written in Hangul.
"""

import re
from enum import Enum
from functools import cache
from typing import Final

_SIGN: Final = "\x00"
# The pair as written, its form after a final consonant, and after a vowel.
_PAIRS: Final = {
    "은(는)": ("은", "는"),
    "이(가)": ("이", "가"),
    "을(를)": ("을", "를"),
    "와(과)": ("과", "와"),
    "과(와)": ("과", "와"),
    "(으)로": ("으로", "로"),
    "(이)라": ("이라", "라"),
    "(이)며": ("이며", "며"),
}
_PAIR: Final = re.compile("|".join(re.escape(pair) for pair in _PAIRS))
_MARKED: Final = re.compile(f"{_SIGN}([^{_SIGN}]+){_SIGN}")
_AFTER_WORD: Final = re.compile(r"(?<=[^\s(\[])\s?(?:\([^()]*\)|\[[^\[\]]*\])$")
_UNREAD: Final = " \t`'\"’”」』>)]/\\"
_NUMBER: Final = re.compile(r"(?P<before>[A-Za-z]-?)?(?P<digits>\d+)$")
_LETTERS: Final = re.compile(r"[A-Za-z]+$")
_LAST_PART: Final = re.compile(r"[A-Z]?[a-z]+$|[A-Z]+$")
_VOWELS: Final = frozenset("aeiouy")


class Ending(Enum):
    """What is heard last when a word is read aloud."""

    VOWEL = "vowel"
    RIEUL = "rieul"
    CONSONANT = "consonant"


# Sino-Korean 0 to 9; 10, 100, 1,000 and 10,000 all end in a consonant, as 0 does.
_DIGITS: Final = {
    **dict.fromkeys("036", Ending.CONSONANT),
    **dict.fromkeys("178", Ending.RIEUL),
    **dict.fromkeys("2459", Ending.VOWEL),
}
# A single digit of a name (`Qwen3`) is often read in English: three ends in a vowel, others are not certain.
_NAME_DIGITS: Final = {"0": None, "3": Ending.VOWEL, "6": None, "9": None}
_SPELLED: Final = {
    "l": Ending.RIEUL,
    "r": Ending.RIEUL,
    "m": Ending.CONSONANT,
    "n": Ending.CONSONANT,
}
# Names and words of our pages whose endings the rules below cannot tell; `it` ends names of tuned models.
_WORDS: Final = {
    **dict.fromkeys(("bit", "byte", "deepseek", "elite", "it", "kit", "lake", "lite", "scout"), Ending.VOWEL),
    **dict.fromkeys(
        ("chat", "deep", "desktop", "engine", "epyc", "exaone", "laptop", "mac", "machine", "maverick"),
        Ending.CONSONANT,
    ),
    **dict.fromkeys(("name", "runtime"), Ending.CONSONANT),
}
_SPELLED_UP_TO: Final = 3  # capitals: RAM and GPU, but CUDA and SUPER are words
# Endings of English words as Hangul writes them, the longest first; other endings are not certain.
_WORD_ENDINGS: Final = (
    ("ng", Ending.CONSONANT),
    ("ck", None),
    ("le", Ending.RIEUL),
    *((ending, None) for ending in ("be", "ke", "me", "ne", "pe", "te")),
    *((ending, Ending.VOWEL) for ending in "aeiouyhwjqvxzsfrd"),
    ("l", Ending.RIEUL),
    ("m", Ending.CONSONANT),
    ("n", Ending.CONSONANT),
)


def ending(text: str) -> Ending | None:
    """How `text` ends when a Korean reads it aloud; None where that cannot be known."""
    read = _AFTER_WORD.sub("", text.rstrip(" \t`'\"’”」』")).rstrip(_UNREAD)
    if not read:
        return None
    last = read[-1]
    if "가" <= last <= "힣":
        consonant = (ord(last) - ord("가")) % 28
        return {0: Ending.VOWEL, 8: Ending.RIEUL}.get(consonant, Ending.CONSONANT)
    if last in "%+":  # percent, plus
        return Ending.VOWEL
    if number := _NUMBER.search(read):
        digits = number["digits"]
        if number["before"] and digits in _NAME_DIGITS:
            return _NAME_DIGITS[digits]
        return _DIGITS[digits[-1]]
    letters = _LETTERS.search(read)
    return _latin_ending(letters.group()) if letters else None


def _latin_ending(letters: str) -> Ending | None:
    part = _LAST_PART.search(letters)
    word = part.group() if part else letters
    small = word.lower()
    if small in _WORDS:
        return _WORDS[small]
    short = word.isupper() and len(word) <= _SPELLED_UP_TO
    if short or not _VOWELS.intersection(small):
        return _SPELLED.get(small[-1], Ending.VOWEL)
    for written, heard in _WORD_ENDINGS:
        if small.endswith(written):
            return heard
    # t, k, p after a consonant get a vowel in Hangul (benchmark, script); after a vowel it depends.
    return Ending.VOWEL if small[-1] in "tkp" and small[-2] not in _VOWELS else None


@cache
def marked(template: str) -> str:
    """The template with a sign around each pair of particles."""
    return _PAIR.sub(lambda pair: f"{_SIGN}{pair.group()}{_SIGN}", template)


def settled(sentence: str) -> str:
    """The sentence with every marked pair replaced by the form that fits the text before it."""
    done = ""
    start = 0
    for found in _MARKED.finditer(sentence):
        done += sentence[start : found.start()]
        done += _form(found.group(1), ending(done[-80:]))
        start = found.end()
    return done + sentence[start:]


def _form(pair: str, heard: Ending | None) -> str:
    if heard is None or pair not in _PAIRS:
        return pair
    after_consonant, after_vowel = _PAIRS[pair]
    if heard is Ending.VOWEL or (pair == "(으)로" and heard is Ending.RIEUL):
        return after_vowel
    return after_consonant
