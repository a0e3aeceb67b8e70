"""The verdict: "it fits" and "it is usable" are separate. Every clause that decided is a reason."""

import msgspec

from probe.catalog.limits import Limits
from probe.estimate.speed_figures import SpeedFigures
from probe.recommender.answer import PlacementKind, Reason, Verdict


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How a placement stands against its pools.

    `left_bytes` and `pool_bytes` are of the pool the engine computes from; None where
    capacity is not known. `reasons` say what does not fit, or what could not be known.
    """

    fits: bool | None
    fits_now: bool | None = None
    left_bytes: int | None = None
    pool_bytes: int | None = None
    reasons: tuple[Reason, ...] = ()


def judge(
    fit: Fit,
    speed: SpeedFigures,
    *,
    kind: PlacementKind,
    max_context: int | None,
    generates: bool,
    rules: Limits,
) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict and the clauses that decided it.

    Args:
        generates: False for embedding models and rerankers: they have no decode
            speed, so only memory and prompt speed count.
    """
    if fit.fits is None:
        return Verdict.UNKNOWN, fit.reasons
    if not fit.fits:
        return Verdict.NO, fit.reasons
    decode = speed.decode_tokens_per_s
    if generates and decode is None:
        return Verdict.UNKNOWN, (*fit.reasons, Reason(code="verdict.speed_unknown"))
    if generates and decode is not None and decode.value < rules.slow.decode_tokens_per_s:
        return Verdict.NO, (
            Reason(
                code="verdict.too_slow",
                values={"speed": decode.value, "limit": rules.slow.decode_tokens_per_s},
            ),
        )
    against_usable = _below_usable(speed, max_context, generates, rules)
    if against_usable:
        return Verdict.SLOW, (*fit.reasons, *against_usable)
    against_comfortable = _below_comfortable(fit, speed, kind, generates, rules)
    if against_comfortable:
        return Verdict.USABLE, (*fit.reasons, *against_comfortable)
    return Verdict.COMFORTABLE, (*fit.reasons, *_why_comfortable(fit, speed))


def _below_usable(
    speed: SpeedFigures, max_context: int | None, generates: bool, rules: Limits
) -> tuple[Reason, ...]:
    reasons = []
    decode = speed.decode_tokens_per_s
    if generates and decode is not None and decode.value < rules.usable.decode_tokens_per_s:
        reasons.append(
            Reason(
                code="verdict.decode_slow",
                values={"speed": decode.value, "limit": rules.usable.decode_tokens_per_s},
            )
        )
    first = speed.time_to_first_token_s
    if first is not None and first > rules.usable.first_token_s:
        reasons.append(
            Reason(
                code="verdict.first_token_slow",
                values={"seconds": first, "limit": rules.usable.first_token_s},
            )
        )
    if generates and max_context is not None and max_context < rules.usable.context_tokens:
        reasons.append(
            Reason(
                code="verdict.context_short",
                values={"context": max_context, "limit": rules.usable.context_tokens},
            )
        )
    return tuple(reasons)


def _below_comfortable(
    fit: Fit, speed: SpeedFigures, kind: PlacementKind, generates: bool, rules: Limits
) -> tuple[Reason, ...]:
    reasons = []
    if kind is PlacementKind.HYBRID:
        reasons.append(Reason(code="verdict.offloaded"))
    if fit.left_bytes is not None and fit.pool_bytes is not None:
        wanted = max(rules.comfortable.free_bytes, round(rules.comfortable.free_share * fit.pool_bytes))
        if fit.left_bytes < wanted:
            reasons.append(
                Reason(
                    code="verdict.memory_tight", values={"left_bytes": fit.left_bytes, "wanted_bytes": wanted}
                )
            )
    decode = speed.decode_tokens_per_s
    if generates and decode is not None and decode.low < rules.comfortable.decode_tokens_per_s_low:
        reasons.append(
            Reason(
                code="verdict.decode_below_comfort",
                values={"speed": decode.low, "limit": rules.comfortable.decode_tokens_per_s_low},
            )
        )
    first = speed.time_to_first_token_s
    if first is None:
        reasons.append(Reason(code="verdict.first_token_unknown"))
    elif first > rules.comfortable.first_token_s:
        reasons.append(
            Reason(
                code="verdict.first_token_below_comfort",
                values={"seconds": first, "limit": rules.comfortable.first_token_s},
            )
        )
    return tuple(reasons)


def _why_comfortable(fit: Fit, speed: SpeedFigures) -> tuple[Reason, ...]:
    decode = speed.decode_tokens_per_s
    values: dict[str, str | int | float | bool | None] = {
        "left_bytes": fit.left_bytes,
        "speed": decode.low if decode else None,
        "seconds": speed.time_to_first_token_s,
    }
    return (Reason(code="verdict.comfortable" if decode else "verdict.comfortable_embedding", values=values),)
