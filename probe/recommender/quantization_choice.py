"""Which quantization to take when none was asked: the best that fits, not the safest.

Q4_K_M is the anchor. Where it is comfortable and fast, more bits are taken as long
as they stay comfortable and fast; where it does not fit, fewer bits down to Q3_K_M
(below that the published loss is large). On a CPU, Q4_0 is taken where its
rearranged blocks make the answer come clearly sooner. Embedding models stay at 16
or 8 bit.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from probe.catalog.model_spec import ModelSpec
from probe.catalog.repositories import Q4_0, gguf_repository
from probe.estimate.weights import gguf_weights
from probe.recommender.answer import Estimate, PlacementKind, Verdict
from probe.recommender.figures import generates_text

ANCHOR: Final = "Q4_K_M"
RICHER: Final = ("Q8_0", "Q6_K", "Q5_K_M")
POORER: Final = ("IQ4_XS", "Q3_K_M")
NOT_GENERATING: Final = ("F16", "Q8_0")
# Twice a fast reader's speed: above it, better answers are worth more than more speed.
FAST_ENOUGH_TOKENS_PER_S: Final = 20.0
# Q4_0 loses more than Q4_K_M (KL divergence 0.072 against 0.028), so it must save a seventh of the wait.
_Q4_0_TIMES: Final = 1.15
_ANSWER_TOKENS: Final = 400
ORDER: Final = {
    Verdict.COMFORTABLE: 4,
    Verdict.USABLE: 3,
    Verdict.SLOW: 2,
    Verdict.UNKNOWN: 1,
    Verdict.NO: 0,
}


class Room(NamedTuple):
    """Capacity of all pools together and of those that compute best; None = not known, or no limit."""

    all_bytes: int | None = None
    computing_bytes: int | None = None


NO_LIMIT: Final = Room()


def native_only(spec: ModelSpec) -> tuple[str, ...] | None:
    """The one form a model is published in when re-quantizing makes no sense (MXFP4 models), else None."""
    if spec.file_quantization is not None and spec.stored_tensors is not None:
        return (spec.file_quantization,)
    if (spec.native_quantization or "").lower() == "mxfp4":
        return ("MXFP4_MOE",)
    return None


def best_quantization(
    spec: ModelSpec, estimate: Callable[[str], Estimate], room: Room = NO_LIMIT
) -> Estimate:
    """The estimate of the quantization to take; when nothing fits, the smallest that was tried.

    Args:
        room: what the pools hold; files that are larger are not tried.
    """
    only = native_only(spec)
    if only is not None:
        return estimate(only[0])
    if not generates_text(spec):
        # The first of the best verdict: more RAM must not turn a usable 8-bit model into a slow 16-bit one.
        return max((estimate(name) for name in NOT_GENERATING), key=lambda answer: ORDER[answer.verdict])
    anchor = estimate(ANCHOR)
    on_cpu = anchor.placement.kind is PlacementKind.CPU and gguf_repository(spec, Q4_0) is not None
    if anchor.fits is False:
        names = (Q4_0, *POORER) if on_cpu else POORER
        tried = [name for name in names if _fits_in(spec, name, room.all_bytes)]
        fitting = _first_fitting(tuple(tried), estimate) if tried else anchor
        return fitting if fitting.fits else anchor
    if anchor.fits is None:
        return anchor
    if anchor.placement.kind is PlacementKind.HYBRID:
        return _whole_on_gpu(spec, anchor, estimate, room)
    if anchor.verdict is not Verdict.COMFORTABLE or not _fast(anchor):
        return quicker_on_cpu(anchor, lambda: estimate(Q4_0)) if on_cpu else anchor
    for name in RICHER:
        if not _fits_in(spec, name, room.computing_bytes):
            continue
        richer = estimate(name)
        if richer.verdict is Verdict.COMFORTABLE and _fast(richer):
            return richer
    return anchor


def _fits_in(spec: ModelSpec, quantization: str, room_bytes: int | None) -> bool:
    return room_bytes is None or gguf_weights(spec, quantization).loaded_bytes <= room_bytes


def _whole_on_gpu(
    spec: ModelSpec, anchor: Estimate, estimate: Callable[[str], Estimate], room: Room
) -> Estimate:
    """A smaller file that needs no offloading, where there is one; else one that is quick enough to use."""
    if anchor.verdict is Verdict.NO:
        quicker = (estimate(name) for name in POORER)
        return next((other for other in quicker if other.verdict is not Verdict.NO), anchor)
    for name in POORER:
        if not _fits_in(spec, name, room.computing_bytes):
            continue
        smaller = estimate(name)
        if smaller.fits and smaller.placement.kind is not PlacementKind.HYBRID:
            return smaller if ORDER[smaller.verdict] >= ORDER[anchor.verdict] else anchor
    return anchor


def quicker_on_cpu(anchor: Estimate, rearranged: Callable[[], Estimate]) -> Estimate:
    """The answer in Q4_0 where it raises the verdict or a question's whole answer comes clearly sooner."""
    if anchor.verdict is Verdict.NO:
        return anchor
    other = rearranged()
    if ORDER[other.verdict] != ORDER[anchor.verdict]:
        return max(anchor, other, key=lambda answer: ORDER[answer.verdict])
    before, after = _answer_s(anchor), _answer_s(other)
    return other if before is not None and after is not None and before >= _Q4_0_TIMES * after else anchor


def _answer_s(answer: Estimate) -> float | None:
    """Seconds for the standard prompt and a page of answer."""
    decode, first = answer.speed.decode_tokens_per_s, answer.speed.time_to_first_token_s
    if decode is None or first is None or decode.value <= 0:
        return None
    return first + _ANSWER_TOKENS / decode.value


def _fast(answer: Estimate) -> bool:
    decode = answer.speed.decode_tokens_per_s
    return decode is not None and decode.value >= FAST_ENOUGH_TOKENS_PER_S


def _first_fitting(names: tuple[str, ...], estimate: Callable[[str], Estimate]) -> Estimate:
    """The first that fits and is quick enough to use, else the first that fits at all."""
    answers = []
    for name in names:
        answer = estimate(name)
        if answer.fits and answer.verdict is not Verdict.NO:
            return answer
        answers.append(answer)
    return next((answer for answer in answers if answer.fits), answers[-1])
