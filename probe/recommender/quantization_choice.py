"""Which quantization to take when none was asked: the best that fits, not the safest.

Q4_K_M is the anchor. Where it is comfortable and fast, more bits are taken as long
as they stay comfortable and fast; where it does not fit, fewer bits down to Q3_K_M
(below that the published loss is large). Embedding models stay at 16 or 8 bit.
"""

from collections.abc import Callable
from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.figures import generates_text

ANCHOR: Final = "Q4_K_M"
RICHER: Final = ("Q8_0", "Q6_K", "Q5_K_M")
POORER: Final = ("IQ4_XS", "Q3_K_M")
NOT_GENERATING: Final = ("F16", "Q8_0")
# Twice a fast reader's speed: above it, better answers are worth more than more speed.
FAST_ENOUGH_TOKENS_PER_S: Final = 20.0
ORDER: Final = {
    Verdict.COMFORTABLE: 4,
    Verdict.USABLE: 3,
    Verdict.SLOW: 2,
    Verdict.UNKNOWN: 1,
    Verdict.NO: 0,
}


def native_only(spec: ModelSpec) -> tuple[str, ...] | None:
    """The one form a model is published in when re-quantizing makes no sense (MXFP4 models), else None."""
    if spec.file_quantization is not None and spec.stored_tensors is not None:
        return (spec.file_quantization,)
    if (spec.native_quantization or "").lower() == "mxfp4":
        return ("MXFP4_MOE",)
    return None


def best_quantization(spec: ModelSpec, estimate: Callable[[str], Estimate]) -> Estimate:
    """The estimate of the quantization to take; when nothing fits, the smallest that was tried."""
    only = native_only(spec)
    if only is not None:
        return estimate(only[0])
    if not generates_text(spec):
        return _first_fitting(NOT_GENERATING, estimate)
    anchor = estimate(ANCHOR)
    if anchor.fits is False:
        fitting = _first_fitting(POORER, estimate)
        return fitting if fitting.fits else anchor
    if anchor.fits is None or anchor.verdict is not Verdict.COMFORTABLE or not _fast(anchor):
        return anchor
    for name in RICHER:
        richer = estimate(name)
        if richer.verdict is Verdict.COMFORTABLE and _fast(richer):
            return richer
    return anchor


def _fast(answer: Estimate) -> bool:
    decode = answer.speed.decode_tokens_per_s
    return decode is not None and decode.value >= FAST_ENOUGH_TOKENS_PER_S


def _first_fitting(names: tuple[str, ...], estimate: Callable[[str], Estimate]) -> Estimate:
    answers = []
    for name in names:
        answer = estimate(name)
        if answer.fits:
            return answer
        answers.append(answer)
    return answers[-1]
