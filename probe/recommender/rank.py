"""Which of the models that fit to take: a few per purpose, with the reason.

Ranking uses capacity and published or prior quality only, never the RAM that
happens to be free: same machine, same day, same answer.
"""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.quality import quality_of
from probe.machine.ranges import Range
from probe.recommender.answer import Estimate, Reason, Verdict
from probe.recommender.options import PURPOSES
from probe.recommender.survey import Surveyed

PER_PURPOSE = 5
DEFAULT_PURPOSES = ("general", "korean", "coding")
# Steps in points of quality. Slow models come after every usable one, whatever their quality.
_VERDICT_WEIGHT = {Verdict.COMFORTABLE: 0.0, Verdict.USABLE: -6.0, Verdict.SLOW: -1000.0}


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """One pick: its place, what for, its quality score and why it stands there."""

    rank: int
    purpose: str
    spec: ModelSpec
    answer: Estimate
    quality: Range | None
    why: tuple[Reason, ...]


def serves(spec: ModelSpec, purpose: str) -> bool:
    """Whether a model is meant for this purpose at all."""
    if spec.variant == "base":
        return False
    kinds = {"embedding": ("embedding",), "vision": ("vision", "omni", "multimodal")}
    if purpose in kinds:
        return spec.modality in kinds[purpose] or purpose in spec.purposes
    if spec.modality in {"embedding", "reranker", "audio", "guard"}:
        return False
    if purpose == "korean":
        return any(language.code == "ko" for language in spec.languages)
    if purpose == "documents":
        return (spec.max_context or 0) >= 32768
    if purpose == "general":
        return "general" in spec.purposes or not spec.purposes
    return purpose in spec.purposes or "general" in spec.purposes


def score(line: Surveyed, purpose: str) -> tuple[float, Range | None]:
    """Quality on one scale, less a step for a verdict below comfortable; higher is better."""
    quality = quality_of(line.spec.id, purpose)
    value = quality.value if quality is not None else 0.0
    return value + _VERDICT_WEIGHT.get(line.answer.verdict, -100.0), quality


def rank(lines: tuple[Surveyed, ...], purposes: tuple[str, ...]) -> tuple[Recommendation, ...]:
    """At most five models per purpose, no family twice in one purpose's first places.

    Args:
        purposes: as asked with --for; empty means general, Korean and coding.
    """
    wanted = tuple(purpose for purpose in PURPOSES if purpose in purposes) or DEFAULT_PURPOSES
    ranked = []
    for purpose in wanted:
        candidates = [
            line for line in lines if line.answer.verdict in _VERDICT_WEIGHT and serves(line.spec, purpose)
        ]
        scored = [(line, *score(line, purpose)) for line in candidates]
        scored.sort(key=lambda item: (-item[1], item[0].answer.file_bytes or 0, item[0].spec.id))
        ranked += _first_of_each_family(scored, purpose)
    return tuple(ranked)


def _first_of_each_family(
    scored: list[tuple[Surveyed, float, Range | None]], purpose: str
) -> list[Recommendation]:
    taken: list[Recommendation] = []
    families: set[str] = set()
    for line, _points, quality in scored:
        family = line.spec.family or line.spec.name
        if family in families:
            continue
        families.add(family)
        taken.append(
            Recommendation(
                rank=len(taken) + 1,
                purpose=purpose,
                spec=line.spec,
                answer=line.answer,
                quality=quality,
                why=(_why(line, quality),),
            )
        )
        if len(taken) == PER_PURPOSE:
            break
    return taken


def _why(line: Surveyed, quality: Range | None) -> Reason:
    decode = line.answer.speed.decode_tokens_per_s
    values: dict[str, str | int | float | bool | None] = {
        "quality": quality.value if quality else None,
        "low": quality.low if quality else None,
        "high": quality.high if quality else None,
        "speed": decode.value if decode else None,
        "file_bytes": line.answer.file_bytes,
    }
    known = quality is not None and quality.basis == "fit"
    return Reason(code="answer.why.scored" if known else "answer.why.prior", values=values)
