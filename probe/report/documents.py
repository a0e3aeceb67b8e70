"""The JSON documents of the contract as types: what `--json` prints and what every page is rendered from.

Figures come from recommender answers; sentences are already in the run's language
and their codes stand beside them, so another language can be printed later.
"""

import msgspec

from probe.machine import ByteRange, Machine, Range
from probe.recommender.answer import Placement, Reason, Verdict

SCHEMA_VERSION = "1.0"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Which probe wrote the document; `catalogs` is the date of the newest catalog data."""

    name: str
    version: str
    catalogs: str


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Who a model is."""

    id: str
    alias: str | None
    name: str
    params_total: int | None
    params_active: int | None
    languages: tuple[str, ...]
    license: str | None
    commercial_use: bool | None = None  # what the licence says; None = unclear or not read
    korean: str | None = None  # verified, claimed; None = not among the languages that were looked up


class DeviceMemoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share, bytes."""

    device: str
    weights_bytes: int | None
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None
    compute_bytes: int | None
    repack_bytes: ByteRange
    runtime_bytes: int | None
    total_bytes: int | None
    available_bytes: int | None
    free_bytes: int | None


class MemoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all devices, bytes."""

    weights_bytes: int | None
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None
    compute_bytes: int | None
    repack_bytes: ByteRange
    runtime_bytes: int | None
    total_bytes: int | None
    per_device: tuple[DeviceMemoryDocument, ...]
    rule_of_thumb_bytes: int | None = None


class SpeedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Speeds with the cache filled to depth_tokens, one conversation."""

    decode_tokens_per_s: Range | None
    aggregate_tokens_per_s: float | None
    prefill_tokens_per_s: Range | None
    decode_limit_tokens_per_s: float | None
    time_to_first_token_s: float | None
    depth_tokens: int
    inputs: dict[str, float | str] = {}


class CheckSpeedDocument(SpeedDocument, frozen=True, kw_only=True):
    """With what drafting would make of it; null where no draft was asked. It enters no verdict."""

    speculative: Range | None = None


class DraftDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What drafts for the model; its bytes are contained in `memory`."""

    id: str
    alias: str | None
    name: str
    method: str  # mtp: the model's own prediction layers; draft: a second model
    quantization: str
    tokens: int  # drafted a round
    file_bytes: int | None
    weights_bytes: int
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None
    compute_bytes: int | None
    total_bytes: int | None
    speedup: Range | None
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    note_codes: tuple[Reason, ...] = ()


class EstimateDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The contract's Estimate; `kind` and `schema_version` are filled at the top level only."""

    model: ModelSummary
    engine: str
    quantization: str
    context: int
    parallel: int
    kv_type: str
    placement: Placement
    file_bytes: int | None
    memory: MemoryDocument
    speed: SpeedDocument
    fits: bool | None
    fits_now: bool | None
    max_context: int | None
    verdict: Verdict
    reasons: tuple[str, ...]
    reason_codes: tuple[Reason, ...]
    command: str | None
    alternatives: "tuple[EstimateDocument, ...]" = ()
    commands: dict[str, str] = {}  # llama.cpp, ollama, lmstudio: how each gets and starts this file


class RecommendationDocument(EstimateDocument, frozen=True, kw_only=True):
    """An Estimate with its place in the ranking."""

    rank: int
    purpose: str
    role: str = "best"  # best, fast, korean, documents, smallest, alternative
    also: tuple[str, ...] = ()  # further roles of the short answer that the same model fills
    quality: Range | None
    why: str
    why_codes: tuple[Reason, ...] = ()


class EffectDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a finding's fix would change, estimated; null = no change, or not known."""

    model: str | None = None
    quantization: str | None = None
    before_tokens_per_s: float | None = None
    after_tokens_per_s: float | None = None
    verdict: str | None = None
    largest_before: str | None = None
    largest_after: str | None = None


class FindingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Something broken or wasted. severity: critical, warning, notice, info."""

    id: str
    severity: str
    title: str
    evidence: str
    detail: str
    fix: str
    values: dict[str, str | int | float | bool | None] = {}
    effect: str | None = None  # what the fix would change, in words
    effect_values: EffectDocument | None = None


class EngineDocument(msgspec.Struct, frozen=True, kw_only=True):
    """May this engine run here. verdict: ok, limited, no, unknown."""

    engine: str
    verdict: str
    reasons: tuple[str, ...]
    reason_codes: tuple[Reason, ...] = ()


class SizeMapCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the map of model sizes and quantization levels, at 8k context."""

    size_class: str  # 1B 2B 4B 8B 14B 32B 70B 120B MoE 235B MoE 671B MoE
    quantization: str  # 4-bit 5-6-bit 8-bit 16-bit
    verdict: Verdict
    decode_tokens_per_s: Range | None
    total_bytes: int | None
    example: str  # the catalog model computed


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way to be served: own_pc, shared_server, cloud."""

    route: str
    verdict: str  # of Verdict, or unknown
    text: str
    code: Reason | None = None
    example: str | None = None
    address: str | None = None


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One catalog model, the best that fits."""

    id: str
    quantization: str | None
    context: int
    verdict: Verdict
    decode_tokens_per_s: Range | None
    total_bytes: int | None
    name: str | None = None
    engine: str | None = None
    placement: str | None = None
    file_bytes: int | None = None
    time_to_first_token_s: float | None = None


class ModelIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of `models` as columns in the same order; made and explained in model_index.py."""

    verdicts: str  # one letter a model: c u s n, ? for unknown
    bases: tuple[str, ...]
    basis: str  # one sign a model: place in `bases` as a digit or letter, - where no speed is known
    decode_tokens_per_s: str  # low, value, high of each model that has a speed, four digits, a blank between
    rest_bytes: int  # of what follows ids_hash in the file, without and with indentation
    rest_bytes_indented: int
    ids_hash: str  # 16 letters of the SHA-256 of `ids`: who knows them stops here
    ids: str  # one id a line


class SummaryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The sentence on top, and the ends of the scale."""

    headline: str
    headline_codes: tuple[Reason, ...]
    largest_comfortable: EstimateDocument | None
    largest_usable: EstimateDocument | None
    routes: tuple[Route, ...]
    next_step: tuple[str, ...] = ()
    next_step_codes: tuple[Reason, ...] = ()


class ReportDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="report"):
    """`probe --json`: the whole answer for one machine."""

    schema_version: str = SCHEMA_VERSION
    tool: Tool
    created_at: str
    language: str
    machine: Machine
    api_url: str | None = None
    purposes: tuple[str, ...] = ()  # as asked with --for; empty = the short answer by role
    companion: EstimateDocument | None = None  # the model of --with, loaded all the time
    findings: tuple[FindingDocument, ...]
    engines: tuple[EngineDocument, ...]
    summary: SummaryDocument
    # Whoever reads a folder of reports stops here: the three bulky members stay last (see model_index.py).
    model_index: ModelIndex | None = None
    size_map: tuple[SizeMapCell, ...]
    recommendations: tuple[RecommendationDocument, ...]
    models: tuple[ModelLine, ...]


class CheckDocument(EstimateDocument, frozen=True, kw_only=True, tag_field="kind", tag="estimate"):
    """`probe check --json`."""

    speed: CheckSpeedDocument
    schema_version: str = SCHEMA_VERSION
    machine_name: str | None = None
    companion: EstimateDocument | None = None  # the model of --with, loaded all the time
    draft: DraftDocument | None = None  # what drafts for it, where drafting was asked
    memory_range: ByteRange | None = None  # the total's ends where the engine's rules leave some room
    not_modeled: tuple[str, ...] = ()  # what the figures of this engine leave out
    not_modeled_codes: tuple[Reason, ...] = ()


class DoctorDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="doctor"):
    """`probe doctor --json`."""

    schema_version: str = SCHEMA_VERSION
    findings: tuple[FindingDocument, ...]
