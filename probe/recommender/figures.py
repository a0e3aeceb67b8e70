"""Small figures that every engine's answer carries."""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.estimate.speed_figures import SpeedFigures

_BITS: Final = {
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "FP32": 32,
    "FP16": 16,
    "AWQ": 4,
    "GPTQ-INT4": 4,
    "GPTQ-INT8": 8,
    "W4A16": 4,
    "BNB-NF4": 4,
    "BNB-NF4-DOUBLE": 4,
}


def generates_text(spec: ModelSpec) -> bool:
    """False for embedding models and rerankers."""
    return spec.modality not in {"embedding", "reranker"}


def speed_of(spec: ModelSpec, speed: SpeedFigures) -> SpeedFigures:
    """The speeds that mean something for this model: embedding models and rerankers only read."""
    if generates_text(spec):
        return speed
    return msgspec.structs.replace(
        speed, decode_tokens_per_s=None, aggregate_tokens_per_s=None, decode_limit_tokens_per_s=None
    )


def rule_of_thumb_bytes(spec: ModelSpec, quantization: str) -> int | None:
    """Parameters x bytes of the nominal width x the safety factor: shown beside the exact figure."""
    params = spec.params_text or spec.params_total
    bits = nominal_bits(quantization)
    if params is None or bits is None:
        return None
    return round(params * bits / 8 * limits().rule_of_thumb.safety_factor)


@cache
def nominal_bits(quantization: str) -> int | None:
    """The width in a quantization's name: Q4_K_M 4, IQ3_XS 3, bf16 16, fp8 8, MXFP4 4."""
    known = _BITS.get(quantization.upper())
    if known is not None:
        return known
    if quantization.startswith("exl") and "-" in quantization:  # exl3-4.25bpw
        bits = quantization.partition("-")[2].removesuffix("bpw")
        return round(float(bits)) if bits.replace(".", "", 1).isdigit() else None
    head = quantization.split("_", maxsplit=1)[0]
    digits = "".join(character for character in head if character.isdigit())
    return int(digits) if digits else None
