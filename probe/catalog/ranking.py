"""The weights by which recommended models are chosen: one catalog file, none in code."""

import sys
from functools import cache

import msgspec

from probe.catalog.files import read_data
from probe.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "catalogs/ranking.toml"


class QualityWeights(msgspec.Struct, frozen=True, kw_only=True):
    """How a quality band becomes one figure, and what a quantization's loss costs."""

    doubt_share: float
    points_per_kl: float
    source: str


class WaitWeights(msgspec.Struct, frozen=True, kw_only=True):
    """What waiting for an answer costs; tokens of a question by purpose where they differ."""

    free_s: float
    points_per_doubling: float
    answer_tokens: int
    thinking_tokens: int
    source: str
    prompt_tokens: dict[str, int]
    answer_tokens_of: dict[str, int]

    def prompt_of(self, purpose: str) -> int:
        """Tokens of the prompt of one question."""
        return self.prompt_tokens.get(purpose, self.prompt_tokens["general"])

    def answer_of(self, purpose: str, *, thinks: bool) -> int:
        """Tokens of the answer, a reasoning model's train of thought counted."""
        plain = self.answer_tokens_of.get(purpose, self.answer_tokens)
        return max(plain, self.answer_tokens + self.thinking_tokens) if thinks else plain


class MinusPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Points off for what makes a model less practical."""

    usable: float
    offloaded: float
    tight_ram: float
    tight_bytes: int
    no_known_file: float
    claimed_language: float
    no_commercial_use: float
    licence_unclear: float
    far_behind: float
    far_points: float
    source: str


class RoleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a model deserves a role in the short answer."""

    fast_within: float
    fast_times: float
    smallest_quality: float
    smallest_within: float
    smallest_share: float
    documents_context: int
    documents_best: int
    documents_points: float
    good_gain: float
    source: str


class FilePublishers(msgspec.Struct, frozen=True, kw_only=True):
    """Whose GGUF repositories are named first, and whose hold Q4_0 or MXFP4."""

    publishers: tuple[str, ...]
    q4_0_publishers: tuple[str, ...]
    mxfp4_publishers: tuple[str, ...]
    source: str


class RankingWeights(msgspec.Struct, frozen=True, kw_only=True):
    """All weights; each part carries its source."""

    quality: QualityWeights
    wait: WaitWeights
    minus: MinusPoints
    roles: RoleLimits
    files: FilePublishers


@cache
def ranking_weights() -> RankingWeights:
    """The weights of this installation.

    Raises:
        CatalogError: catalogs/ranking.toml is missing or damaged.
    """
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), RankingWeights)
    except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error
