"""Which GPU a person means: loosely by words, refused where boards differ in memory or bandwidth."""

import difflib
import re
from functools import cache
from typing import Final, NamedTuple

from probe.catalog.gpu_rows import GPU_VENDORS, GpuForm, GpuSpec, gpus_of
from probe.errors import AmbiguousNameError, InputError, UnknownNameError
from probe.units import GIB

SUGGESTIONS: Final = 6
_NEAR: Final = 0.6  # likeness below which a name is no help

_KOREAN: Final = {
    "노트북": " laptop ",
    "랩탑": " laptop ",
    "지포스": " geforce ",
    "라데온": " radeon ",
    "쿼드로": " quadro ",
    "테슬라": " tesla ",
    "엔비디아": " nvidia ",
    "슈퍼": " super ",
    "기가": "gb",
}
_SIZE: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(?:gib|gb|g)\b")
_SERIES_PREFIX: Final = re.compile(r"^(rtx|gtx|gt|rx|arc)(\d.*)$")
_SUFFIXES: Final = re.compile(r"^(\d{3,4})((?:ti|super|xtx|xt|gre|d|m|s)+)$")
_SUFFIX: Final = re.compile(r"ti|super|xtx|xt|gre|d|m|s")

# Words that say nothing about the board; some name a vendor, which must then be the row's.
_VENDOR_WORDS: Final = {
    "nvidia": "nvidia",
    "geforce": "nvidia",
    "tesla": "nvidia",
    "nvgpu": "nvidia",
    "amd": "amd",
    "radeon": "amd",
    "instinct": "amd",
    "intel": "intel",
    "apple": "apple",
}
_FILLER: Final = frozenset(
    {"graphics", "gpu", "generation", "card", "with", "design", "the", "data", "center"}
)
# May be left out, but where typed the row must have them.
_SERIES: Final = frozenset({"rtx", "gtx", "gt", "rx", "arc", "quadro", "jetson"})
_BOARD: Final = frozenset(
    {
        "pcie",
        "sxm",
        "sxm2",
        "sxm3",
        "sxm4",
        "sxm5",
        "sxm6",
        "nvl",
        "fhhl",
        "hbm2",
        "hbm2e",
        "hbm3",
        "hbm3e",
        "gddr5",
        "gddr5x",
        "gddr6",
        "gddr6x",
        "gddr7",
        "ddr4",
        "desktop",
        "server",
        "workstation",
        "edition",
        "active",
        "ac",
        "hgx",
        "per",
        "blackwell",
        "30core",
        "32core",
        "40core",
    }
)
_SYNONYMS: Final = {"mobile": "laptop", "notebook": "laptop", "maxq": "max-q"}


class GpuBoard(NamedTuple):
    """A row and, where it is sold in several sizes, the size that was typed."""

    spec: GpuSpec
    memory_bytes: int | None


class _Words(NamedTuple):
    vendors: frozenset[str]
    series: frozenset[str]
    board: frozenset[str]
    model: frozenset[str]  # what must agree
    sizes: frozenset[float]  # GiB


def _split(text: str) -> tuple[list[str], list[float]]:
    plain = text.lower()
    for korean, english in _KOREAN.items():
        plain = plain.replace(korean, english)
    plain = re.sub(r"\((?:tm|r)\)", " ", plain).replace("max-q", "maxq")
    plain = re.sub(r"(\d+)-core", r"\1core", plain)
    sizes = [float(size) for size in _SIZE.findall(plain)]
    words: list[str] = []
    for word in re.findall(r"[^\s\-_/(),;:\[\]]+", _SIZE.sub(" ", plain)):
        prefix = _SERIES_PREFIX.match(word)
        if prefix:
            words.append(prefix.group(1))
            word = prefix.group(2)  # noqa: PLW2901  the rest of the joined word goes on
        ending = _SUFFIXES.match(word)
        if ending:
            words.append(ending.group(1))
            words.extend(_SUFFIX.findall(ending.group(2)))
        elif word:
            words.append(_SYNONYMS.get(word, word))
    return words, sizes


@cache
def _words(text: str) -> _Words:
    words, sizes = _split(text)
    series = frozenset(word for word in words if word in _SERIES)
    board = frozenset(word for word in words if word in _BOARD)
    vendors = frozenset(_VENDOR_WORDS[word] for word in words if word in _VENDOR_WORDS)
    known = _SERIES | _BOARD | _FILLER | _VENDOR_WORDS.keys()
    model = frozenset(word for word in words if word not in known)
    return _Words(vendors, series, board, model, frozenset(sizes))


@cache
def _forms(vendor: str) -> tuple[tuple[_Words, GpuSpec, bool], ...]:
    """Every way a row is written, as words; True marks a curated alias."""
    found: list[tuple[_Words, GpuSpec, bool]] = []
    for row in gpus_of(vendor):
        names = dict.fromkeys((row.name, *row.driver_names), False) | dict.fromkeys(row.aliases, True)
        found.extend((_words(name), row, curated) for name, curated in names.items())
    return tuple(found)


def short_name(row: GpuSpec) -> str:
    """The row's name as a person types it; resolves to the same board again."""
    name = re.sub(r"\((?:TM|R)\)", "", row.name).removeprefix("NVIDIA ")
    return " ".join(name.split())


def _matches(typed: _Words, form: _Words) -> bool:
    return (
        typed.model == form.model
        and typed.series <= form.series
        and typed.board <= form.board
        and bool(typed.model)
    )


def _size_fits(typed: _Words, form: _Words, row: GpuSpec) -> bool:
    if not typed.sizes or typed.sizes <= form.sizes:
        return True
    sizes = {round(size / GIB, 1) for size in row.memory_options_bytes}
    return len(typed.sizes) == 1 and round(next(iter(typed.sizes)), 1) in sizes


def _same_board(one: GpuSpec, other: GpuSpec) -> bool:
    """Equal in what decides: memory, compute capability, bandwidth within 1 %."""
    if one.memory_options_bytes != other.memory_options_bytes:
        return False
    if one.compute_capability != other.compute_capability:
        return False
    first, second = one.bandwidth_bytes_per_s, other.bandwidth_bytes_per_s
    return first == second or (bool(first and second) and abs((first or 1) / (second or 1) - 1) < 0.01)


def _distinct(rows: list[GpuSpec]) -> list[GpuSpec]:
    """One row of each kind of board, the first in the catalog's order."""
    kinds: list[GpuSpec] = []
    for row in rows:
        if not any(_same_board(row, kind) for kind in kinds):
            kinds.append(row)
    return kinds


def _without_laptops(rows: list[GpuSpec], typed: _Words) -> list[GpuSpec]:
    if "laptop" in typed.model:
        return rows
    return [row for row in rows if row.form is not GpuForm.LAPTOP] or rows


def _typable(row: GpuSpec) -> str:
    """The row's name, with its memory where the name alone means several boards."""
    name = short_name(row)
    alone = len(_boards(_words(name), _named(_words(name), (row.vendor,)))) == 1
    return name if alone else f"{name} {_sizes_text([row]).split(', ')[-1]}"


def _suggestions(text: str, vendors: tuple[str, ...]) -> tuple[str, ...]:
    """The nearest names: those that share a model word first, then by spelling; none when nothing is near."""
    typed = _words(text)
    rows = [row for vendor in vendors for row in gpus_of(vendor)]
    sharing = [row for row in rows if typed.model & _words(row.name).model]
    likeness = {
        row.name: difflib.SequenceMatcher(
            None, text.lower(), short_name(row).lower().removeprefix("geforce ")
        ).ratio()
        for row in sharing or rows
    }
    near = [row for row in sharing or rows if sharing or likeness[row.name] >= _NEAR]
    near.sort(key=lambda row: likeness[row.name], reverse=True)
    return tuple(_typable(row) for row in near[:SUGGESTIONS])


def _sizes_text(rows: list[GpuSpec]) -> str:
    sizes = sorted({round(size / GIB, 1) for row in rows for size in row.memory_options_bytes})
    return ", ".join(f"{size:g}GB" for size in sizes)


def _named(typed: _Words, vendors: tuple[str, ...]) -> list[tuple[_Words, GpuSpec, bool]]:
    """Rows whose model words agree, whatever their memory."""
    return [entry for vendor in vendors for entry in _forms(vendor) if _matches(typed, entry[0])]


def _boards(typed: _Words, named: list[tuple[_Words, GpuSpec, bool]]) -> list[GpuSpec]:
    """Boards that differ in memory or bandwidth; a curated alias written exactly wins."""
    exact = [row for form, row, curated in named if curated and form[1:] == typed[1:]]
    fitting = exact or [row for form, row, _ in named if _size_fits(typed, form, row)]
    return _distinct(_without_laptops(fitting, typed))


def find_board(
    text: str, vendors: tuple[str, ...] = GPU_VENDORS, *, suggest: bool = True, need_memory: bool = True
) -> GpuBoard:
    """The board a person names, with its memory where the name alone leaves the size open.

    Args:
        suggest: look for the nearest names of an unknown one, which takes milliseconds.
        need_memory: refuse a board that is sold in several sizes when none is named.

    Raises:
        UnknownNameError: no such GPU; nearest names are suggested.
        AmbiguousNameError: several boards that differ in memory or bandwidth.
        InputError: the board exists, but not with the memory that was typed, or
            its memory must be typed (Apple).
    """
    typed = _words(text)
    searched = tuple(vendor for vendor in vendors if not typed.vendors or vendor in typed.vendors)
    named = _named(typed, searched)
    if not named:
        near = _suggestions(text, searched or vendors) if suggest else ()
        raise UnknownNameError("input.gpu_unknown" if near else "input.gpu_unrecognized", text, near)
    boards = _boards(typed, named)
    if not boards:
        asked = ", ".join(f"{size:g}GB" for size in sorted(typed.sizes))
        raise InputError(
            "input.spec_memory_size_mismatch",
            name=_family_name(named[0][1]),
            asked=asked,
            sizes=_sizes_text([row for _, row, _ in named]),
        )
    if len(boards) > 1 and boards[0].vendor == "apple":
        raise _size_needed(boards)
    if len(boards) > 1:
        raise AmbiguousNameError("input.gpu_ambiguous", text, tuple(_typable(row) for row in boards))
    row = boards[0]
    if len(row.memory_options_bytes) <= 1:
        return GpuBoard(row, row.memory_bytes)
    if len(typed.sizes) == 1:
        return GpuBoard(row, round(next(iter(typed.sizes)) * GIB))
    if need_memory:
        raise _size_needed(boards)
    return GpuBoard(row, None)


def _family_name(row: GpuSpec) -> str:
    return re.sub(r"\s*\(\d+-core GPU\)", "", short_name(row)).removeprefix("Apple ")


def _size_needed(boards: list[GpuSpec]) -> InputError:
    name = _family_name(boards[0])
    sizes = _sizes_text(boards)
    return InputError(
        "input.spec_memory_size_needed", name=name, sizes=sizes, example=f"{name} {sizes.split(', ')[-1]}"
    )


def find_gpu(text: str) -> GpuSpec:
    """The row a person names: `RTX 4090`, `rtx4070ti super`, `Tesla P100 12GB`, `RTX 3070 노트북`.

    Sizes of one board that differ in nothing else (GTX 960 with 2 or 4 GB) need not be named.

    Raises:
        UnknownNameError, AmbiguousNameError, InputError: as find_board.
    """
    return find_board(text, need_memory=False).spec
