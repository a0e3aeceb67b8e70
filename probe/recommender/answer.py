"""The answer to "will this model run here": the Estimate of the contract."""

import enum

import msgspec

from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.speed_figures import SpeedFigures
from probe.machine import ByteRange, Range
from probe.messages.reason import Reason

__all__ = ["DraftAnswer", "Estimate", "Placement", "PlacementKind", "Reason", "Split", "Verdict"]


class Verdict(enum.Enum):
    """What a person may expect; the limits live in catalogs/limits.toml."""

    COMFORTABLE = "comfortable"
    USABLE = "usable"
    SLOW = "slow"
    NO = "no"
    UNKNOWN = "unknown"


class PlacementKind(enum.Enum):
    """Which pools hold the model."""

    GPU = "gpu"
    MULTI_GPU = "multi_gpu"
    CPU = "cpu"
    HYBRID = "hybrid"
    UNIFIED = "unified"


class Split(enum.Enum):
    """How a model is divided among devices."""

    NONE = "none"
    LAYER = "layer"
    TENSOR = "tensor"
    EXPERT_OFFLOAD = "expert_offload"


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where the layers go. `gpu_layers` counts as `-ngl` does (output layer included); None off llama.cpp."""

    kind: PlacementKind
    split: Split = Split.NONE
    gpu_layers: int | None = None
    devices: tuple[str, ...] = ()


class DraftAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What drafts for the model (speculative decoding): its part of the memory, and the gain.

    The figures are contained in the Estimate's memory. `speedup` and `decode_tokens_per_s`
    depend on what is written; they enter no verdict. None where speed is not known.
    """

    id: str
    name: str
    alias: str | None = None
    method: str  # mtp: the model's own prediction layers; draft: a second model
    quantization: str
    tokens: int  # drafted a round
    file_bytes: int | None = None  # of the second file; None: no second file
    weights_bytes: int
    kv_cache_bytes: int | None
    recurrent_state_bytes: int | None = 0
    compute_bytes: int | None = 0
    total_bytes: int | None
    speedup: Range | None = None
    decode_tokens_per_s: Range | None = None
    others: tuple[str, ...] = ()  # further models that could draft, best first
    notes: tuple[Reason, ...] = ()


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One model, one engine, one quantization, one placement: memory, speed and a verdict with reasons."""

    model_id: str
    engine: str
    quantization: str
    context: int
    parallel: int
    kv_type: str
    placement: Placement
    file_bytes: int | None
    memory: MemoryBreakdown
    speed: SpeedFigures
    fits: bool | None
    fits_now: bool | None
    max_context: int | None
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    command: str | None = None
    alternatives: "tuple[Estimate, ...]" = ()
    rule_of_thumb_bytes: int | None = None
    memory_range: ByteRange | None = None  # ends of the total where a rule of the engine is not known exactly
    not_modeled: tuple[Reason, ...] = ()  # what the engine also takes or does, and these figures leave out
    draft: DraftAnswer | None = None  # what drafts for it, where drafting was asked
