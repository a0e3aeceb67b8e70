"""Which model a typed name means: exact names first, then words in any order and spelling.

A name is read as a set of words: `Qwen3-30B-A3B`, "qwen 3 30b a3b" and "큐웬3 30B-A3B"
are the same set. Words that do not change the tensors (instruct, thinking, GGUF, a date)
choose between rows of equal shapes and are otherwise ignored; all other words must be
in the name.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.model_spec import ModelSpec
from probe.errors import AmbiguousNameError, CatalogError, UnknownNameError

WORDS_FILE: Final = "catalogs/models/name_words.json"
_MAX_SUGGESTIONS: Final = 8
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
_FILE_TYPE: Final = re.compile(
    r"[-._ ](ud[-._])?(i1[-._])?"
    r"(i?q\d(_[0-9a-z]{1,3})*|tq\d_\d|b?f16|f32|mxfp4(_moe)?)$"
)
_BITS: Final = re.compile(r"(?<=\d)[- ](?=bit\b)")
_SEPARATORS: Final = re.compile(r"[\s\-_/:,()\[\]+]+")
_LETTERS_DIGITS: Final = re.compile(r"([a-z]{2,})(\d.*)")
_VERSION_MARK: Final = re.compile(r"v(?=\d)")
_ROUND_VERSION: Final = re.compile(r"(\d+)\.0(?=b?$)")
_DATE: Final = re.compile(r"\d{4}|\d{6}")


class NameWords(msgspec.Struct, frozen=True, kw_only=True):
    """Spellings and words without weight, from catalogs/models/name_words.json."""

    spellings: dict[str, str]  # a spelling and what it means, longest first
    variant: frozenset[str]  # say which of several equal-shaped rows
    formats: frozenset[str]  # say how the weights are stored


@cache
def name_words() -> NameWords:
    """The words that reading a name needs.

    Raises:
        CatalogError: the file is missing or damaged.
    """
    try:
        return msgspec.json.decode(read_data(WORDS_FILE), type=NameWords)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=WORDS_FILE, detail=str(error)) from error


def words_of(name: str) -> frozenset[str]:
    """The words of a model's name, in one spelling: `{"llama", "3.1", "8b"}`.

    Letters and a version written together are two words (`qwen3` is `qwen` and `3`),
    `v3` is `3` and `4.0` is `4`. File endings and quantization types are cut off.
    """
    text = unicodedata.normalize("NFKC", name).lower().strip()
    text = _SHARD.sub("", text.removesuffix(".gguf"))
    text = _BITS.sub("", _FILE_TYPE.sub("", text))
    for spelling, meaning in name_words().spellings.items():
        if spelling in text:
            text = text.replace(spelling, f" {meaning} ")
    words: list[str] = []
    for word in _SEPARATORS.split(text):
        parts = _LETTERS_DIGITS.fullmatch(word)
        if parts and word not in name_words().formats:
            words += parts.groups()
        else:
            words.append(word)
    plain = (_ROUND_VERSION.sub(r"\1", _VERSION_MARK.sub("", word, count=1)) for word in words if word)
    return frozenset(plain)


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """One row of the catalog as words."""

    spec: ModelSpec
    family: str  # the word its alias begins with
    names: tuple[frozenset[str], ...]  # of its aliases and its repository, without weightless words
    all_words: frozenset[str]  # of every name it has, owner included
    own_words: frozenset[str]  # what a name must say to mean this fine-tune


class ModelNames:
    """Finds the row a name means among `models`."""

    def __init__(self, models: Iterable[ModelSpec]) -> None:
        self._models = tuple(models)
        self._entries: tuple[_Entry, ...] | None = None

    def find(self, name: str) -> ModelSpec:
        """The row that `name` means, where it is no exact name; see `find_model` for the rules.

        Raises:
            AmbiguousNameError: several models of different shapes fit.
            UnknownNameError: none fits.
        """
        words = words_of(name)
        weightless = name_words().variant | name_words().formats
        if not words - weightless:
            raise self._unknown(name)
        entries = self._all_entries()
        whole = [entry for entry in entries if _is_whole_name(entry, words, weightless)]
        part = whole or [entry for entry in entries if _is_part_of_name(entry, words, weightless)]
        if not part:
            raise self._unknown(name)
        candidates = _preferring(part, words & name_words().variant)
        shapes: dict[bytes, list[ModelSpec]] = {}
        for entry in candidates:
            shapes.setdefault(shape_key(entry.spec), []).append(entry.spec)
        best = [newest_instruct(specs) for specs in shapes.values()]
        if len(best) > 1:
            raise self._ambiguous(name, best)
        return best[0]

    def _all_entries(self) -> tuple[_Entry, ...]:
        if self._entries is None:
            by_id = {model.id: model for model in self._models}
            self._entries = tuple(_entry(model, by_id) for model in self._models)
        return self._entries

    def _ambiguous(self, name: str, models: list[ModelSpec]) -> AmbiguousNameError:
        models.sort(key=lambda model: (model.base_model is not None, model.params_total or 0))
        nearest = tuple(model.alias or model.id for model in models)[:_MAX_SUGGESTIONS]
        return AmbiguousNameError("catalog.model_ambiguous", name, nearest)

    def _unknown(self, name: str) -> UnknownNameError:
        from difflib import get_close_matches

        typed = "-".join(_SEPARATORS.split(name.lower().strip()))
        for spelling, meaning in name_words().spellings.items():
            typed = typed.replace(spelling, meaning)
        aliases = [model.alias for model in self._models if model.alias]
        inside = [alias for alias in aliases if len(typed) > 2 and typed in alias]
        nearest = tuple(inside[:5] or get_close_matches(typed, aliases, n=5, cutoff=0.5))
        key = "catalog.model_unknown" if nearest else "catalog.model_unrecognized"
        return UnknownNameError(key, name, nearest)


def shape_key(model: ModelSpec) -> bytes:
    """Equal for models whose tensors have equal shapes."""
    return msgspec.json.encode((model.architecture, model.model_type, model.dimensions, model.params_other))


def newest_instruct(models: Iterable[ModelSpec]) -> ModelSpec:
    """The row to take where several have equal shapes: instruct before others, then the newest."""
    return max(
        models,
        key=lambda model: (
            model.base_model is None,
            model.variant == "instruct",
            model.variant != "base",
            model.release or "",
            model.id,
        ),
    )


def _entry(model: ModelSpec, by_id: dict[str, ModelSpec]) -> _Entry:
    weightless = name_words().variant | name_words().formats
    if model.variant != "base":
        weightless -= {"base"}  # midm-2.0-base: here it is a size
    repository = model.id.rpartition("/")[2]
    aliases = [words_of(alias) for alias in (model.alias or model.name, *model.other_aliases, repository)]
    every = frozenset().union(*aliases, words_of(model.id), words_of(model.vendor or ""))
    base = by_id.get(model.base_model) if model.base_model else None
    return _Entry(
        spec=model,
        family=_first_word(model.alias or model.name),
        names=tuple(alias - weightless for alias in aliases),
        all_words=every,
        own_words=every - words_of(base.id) - weightless if base else frozenset(),
    )


def _first_word(alias: str) -> str:
    first = _SEPARATORS.split(alias.lower(), maxsplit=1)[0]
    parts = _LETTERS_DIGITS.fullmatch(first)
    return parts.group(1) if parts else first


def _is_whole_name(entry: _Entry, words: frozenset[str], weightless: frozenset[str]) -> bool:
    """All weighty words of one of its aliases are there, and nothing that contradicts."""
    return words - weightless <= entry.all_words and any(alias <= words for alias in entry.names)


def _is_part_of_name(entry: _Entry, words: frozenset[str], weightless: frozenset[str]) -> bool:
    """Every weighty word fits the row, its family is named, and a fine-tune is meant as such."""
    if entry.spec.base_model is not None and not words & entry.own_words:
        return False
    return entry.family in words and words - weightless <= entry.all_words


def _preferring(entries: list[_Entry], variant_words: frozenset[str]) -> list[_Entry]:
    """Rows that have the variant words said (`thinking`, `base`), if any has."""
    said = [entry for entry in entries if variant_words and variant_words <= entry.all_words]
    return said or entries
