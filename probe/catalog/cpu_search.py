"""Which processor a person means: `Core i5-8500`, `Xeon E5-2690 v4`, `N100`, `Ryzen 9 7950X`."""

import re
from functools import cache
from typing import Final, NamedTuple

from probe.catalog.cpu_rows import CoreCount, CpuSpec, core_counts, first_match, plain_brand
from probe.errors import UnknownNameError

_MAKER_WORDS: Final = re.compile(
    r"\b(intel|amd|apple|qualcomm|processor|prozessor|apu|genuine|\d+th gen|\d+-cores?|"
    r"(?:dual|quad|six|eight|twelve)-core)\b",
    re.IGNORECASE,
)
_FAMILY_WORDS: Final = re.compile(r"^(core|xeon|atom|celeron|pentium(?: gold| silver)?)\s+", re.IGNORECASE)
_TAIL: Final = re.compile(r"\s*(@|w/|with)\s.*$", re.IGNORECASE)
_KOREAN: Final = {
    "인텔": "Intel ",
    "라이젠": "Ryzen ",
    "코어": "Core ",
    "제온": "Xeon ",
    "셀러론": "Celeron ",
    "펜티엄": "Pentium ",
}
# The digit after Ryzen, by the second digit of the model: people leave it out.
_RYZEN_TIER: Final = {
    "9": "9",
    "8": "7",
    "7": "7",
    "6": "5",
    "5": "5",
    "4": "5",
    "3": "3",
    "2": "3",
    "1": "3",
}
# Words that may stand beside the ones that name the family.
_FAMILY_REST: Final = frozenset(
    {
        "intel",
        "amd",
        "apple",
        "qualcomm",
        "core",
        "xeon",
        "epyc",
        "ryzen",
        "pro",
        "processor",
        "threadripper",
        "ultra",
        "snapdragon",
        "elite",
        "plus",
        "gold",
        "silver",
        "bronze",
        "platinum",
        "celeron",
        "pentium",
        "atom",
        "athlon",
        "phenom",
        "opteron",
        "sempron",
        "turion",
        "ii",
        "fx",
        "duo",
        "quad",
        "extreme",
        "solo",
        "oryon",
        "wx",
        "arm",
        "hx",
        "nvidia",
        "cpu",
        "ai",
        "max",
        "ampere",
        "aws",
        "raspberry",
        "pi",
        "mobile",
        "w/",
        "with",
        "radeon",
        "graphics",
    }
)
_MODEL_WORD: Final = re.compile(
    r"^[a-z]{0,2}\d{2,5}[a-z]{0,3}(-\w+)?$|^(x[2346]|v[1-6]|@|\d+(\.\d+)?ghz)$", re.IGNORECASE
)


class TypedCpu(NamedTuple):
    """A family and, where the very model is known, the cores of one socket and the brand as printed."""

    spec: CpuSpec
    cores: CoreCount | None
    brand: str


def _typed_brand(text: str) -> str:
    """The typed words in the form that systems print."""
    plain = text
    for korean, english in _KOREAN.items():
        plain = plain.replace(korean, english)
    plain = plain_brand(plain)
    plain = re.sub(r"\bi([3579])[ ](?=\d{4,5})", r"i\1-", plain, flags=re.IGNORECASE)
    plain = re.sub(r"\b(E[357])[ ](?=\d{4})", r"\1-", plain, flags=re.IGNORECASE)
    plain = re.sub(r"(?<=\d)v([1-6])\b", r" v\1", plain)

    if re.match(r"M\d", plain):
        plain = f"Apple {plain}"

    def with_tier(found: re.Match[str]) -> str:
        return f"Ryzen {_RYZEN_TIER[found.group(1)[1]]} {found.group(1)}"

    return re.sub(r"\bRyzen (?=\d{4})(\d[1-9]\d{2}\w*)", with_tier, plain, flags=re.IGNORECASE)


@cache
def _model_key(plain: str) -> str:
    key = _MAKER_WORDS.sub(" ", _TAIL.sub("", plain))
    key = " ".join(key.split()).lower()
    shorter = _FAMILY_WORDS.sub("", key)
    plain_key = _FAMILY_WORDS.sub("", shorter)
    return f"ryzen {plain_key}" if plain_key.startswith("threadripper") else plain_key


def cores_of(brand: str) -> CoreCount | None:
    """Cores of one socket by brand string; AMD prints them, others are looked up; None = not listed."""
    plain = plain_brand(brand)
    listed = core_counts().get(_model_key(plain))
    if listed is not None:
        return listed
    printed = re.search(r"\b(\d+)-Cores?\b", plain)
    return CoreCount(int(printed.group(1)), int(printed.group(1))) if printed else None


def find_cpu_model(text: str) -> TypedCpu:
    """The processor a person names.

    Raises:
        UnknownNameError: no family has it, or words remain that name no processor.
    """
    plain = _typed_brand(text.strip())
    spec = first_match(plain, any_maker=True) if plain else None
    found = re.search(spec.pattern, plain, re.IGNORECASE) if spec else None
    if spec is None or found is None or "not printed" in spec.name or not _all_named(plain, found):
        raise UnknownNameError("input.cpu_unknown", text)
    return TypedCpu(spec, cores_of(plain), plain)


def near_cpus(text: str) -> tuple[str, ...]:
    """Processors whose names are most like `text`, spelled so that `find_cpu_model` finds them."""
    import difflib

    near = difflib.get_close_matches(_model_key(_typed_brand(text.strip())), core_counts(), n=6, cutoff=0.75)
    found = []
    for key in near:
        try:
            find_cpu_model(key)
        except UnknownNameError:
            continue
        found.append(key)
    return tuple(found[:4])


def _all_named(plain: str, found: re.Match[str]) -> bool:
    """Whether every word belongs to the name; a number only where the pattern has none of its own."""
    start = plain.rfind(" ", 0, found.start()) + 1
    end = plain.find(" ", max(found.end() - 1, 0))
    rest = (plain[:start] + " " + (plain[end:] if end >= 0 else "")).lower().split()
    numbered = re.search(r"\d{3}", plain[start : end if end >= 0 else None])
    return all(word in _FAMILY_REST or (not numbered and _MODEL_WORD.match(word)) for word in rest)


def find_cpu(text: str) -> CpuSpec:
    """The family of a typed name.

    Raises:
        UnknownNameError: as find_cpu_model.
    """
    return find_cpu_model(text).spec
