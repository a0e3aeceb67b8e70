"""Rules and measured gains of speculative decoding: catalogs/speculative.toml as types."""

import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/speculative.toml"


class DraftRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine demands. `prediction`: models whose own prediction layers it can run.

    `rollback` (llama.cpp): recurrent architectures that keep further states to go back to.
    """

    vocabulary_difference: int
    tokens: int
    prediction: tuple[str, ...]
    rollback: tuple[str, ...] = ()
    source: str
    retrieved: str


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """Chance that one more drafted token is kept, between two ends."""

    low: float
    value: float
    high: float
    source: str
    retrieved: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of checking several tokens at once, as shares of our estimate and of one token's time."""

    share: float
    metal_share: float
    metal_plain_share: float
    round_share: float
    gated_tokens: int
    source: str
    retrieved: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """How large a draft should be against the model it drafts for."""

    smallest_share: float
    largest_share: float
    full_precision_below: int
    source: str
    retrieved: str


class MixedFamilies(msgspec.Struct, frozen=True, kw_only=True):
    """Catalog families whose models do not all have one tokenizer."""

    families: tuple[str, ...]
    source: str
    retrieved: str


class SharedTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """Catalog families, or single models by alias, with one vocabulary."""

    name: str
    families: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    source: str
    retrieved: str


class SpeculativeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. `acceptance` has `mtp` and `draft`."""

    llama_cpp: DraftRules
    vllm: DraftRules
    acceptance: dict[str, Acceptance]
    verify: Verification
    choice: Choice
    mixed: MixedFamilies
    tokenizer: tuple[SharedTokenizer, ...]


@cache
def speculative_table() -> SpeculativeTable:
    """The rows, read once.

    Raises:
        CatalogError: the file is damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), SpeculativeTable)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
