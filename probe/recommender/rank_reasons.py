"""Why a model stands where it stands, as codes with facts: score, speed, what it trades, what to know."""

from typing import Final

from probe.catalog.quality import FITTED, reference_benchmark
from probe.catalog.ranking import ranking_weights
from probe.catalog.repositories import Q4_0
from probe.errors import FactValue
from probe.recommender.answer import PlacementKind, Reason
from probe.recommender.merit import Merit, thinks

# A mixture that reads more of itself per token than this is no lighter than a dense model.
_SMALL_ACTIVE_SHARE: Final = 0.34


def why(
    pick: Merit, role: str, purpose: str, first: Merit | None, also: tuple[str, ...] = ()
) -> tuple[Reason, ...]:
    """The sentences of one pick, most important first.

    Args:
        first: the list's first pick, None for itself; trades are told against it.
        also: further roles it fills.
    """
    return (
        _role(pick, role, purpose),
        *(Reason(code=f"answer.also.{other}", values=_facts(pick)) for other in also),
        _score(pick, purpose),
        *_speed(pick),
        *([] if first is None else _trade(pick, first)),
        *_caveats(pick),
    )


def _facts(pick: Merit) -> dict[str, FactValue]:
    decode = pick.line.answer.speed.decode_tokens_per_s
    return {
        "speed": decode.value if decode else None,
        "context": pick.context,
        "file_bytes": pick.line.answer.file_bytes,
        "left_bytes": pick.left_bytes,
    }


def _role(pick: Merit, role: str, purpose: str) -> Reason:
    code = f"answer.role.{role}"
    if role == "best" and purpose != "general":
        code = f"answer.role.best_{purpose}"
    return Reason(code=code, values=_facts(pick))


def _score(pick: Merit, purpose: str) -> Reason:
    quality = pick.quality
    if quality is None:
        return Reason(code="answer.why.unscored")
    known = quality.basis == FITTED
    return Reason(
        code="answer.why.scored" if known else "answer.why.prior",
        values={
            "quality": quality.value,
            "low": quality.low,
            "high": quality.high,
            "benchmark": reference_benchmark(purpose),
        },
    )


def _speed(pick: Merit) -> list[Reason]:
    decode = pick.line.answer.speed.decode_tokens_per_s
    if decode is None:
        return []
    return [Reason(code="answer.why.speed", values={"speed": decode.value, "wait": pick.wait_s})]


def _trade(pick: Merit, first: Merit) -> list[Reason]:
    """What this one gives up and gains against the first pick of the list."""
    points = first.answers - pick.answers
    if not pick.wait_s or not first.wait_s or first.quality is None or pick.quality is None:
        return []
    times = first.wait_s / pick.wait_s
    values: dict[str, FactValue] = {"points": abs(points), "times": times if times >= 1 else 1 / times}
    gains = "quicker" if times >= 1.1 else "slower" if times <= 1 / 1.1 else "as_quick"
    quality = "less" if points >= 0.5 else "more" if points <= -0.5 else "equal"
    if quality == "equal" and gains == "as_quick":
        return []
    return [Reason(code=f"answer.trade.{quality}_{gains}", values=values)]


def _caveats(pick: Merit) -> list[Reason]:
    spec, answer = pick.line.spec, pick.line.answer
    rules = ranking_weights()
    found = []
    if answer.placement.kind is PlacementKind.HYBRID:
        found.append(Reason(code="answer.caveat.offloaded"))
    if answer.placement.kind is PlacementKind.CPU:
        if answer.quantization == Q4_0:
            found.append(Reason(code="answer.caveat.q4_0"))
        if _reads_little(pick):
            found.append(
                Reason(
                    code="answer.caveat.small_active",
                    values={
                        "active": (spec.params_active or 0) / 1e9,
                        "total": (spec.params_total or 0) / 1e9,
                    },
                )
            )
        if pick.left_bytes is not None and pick.left_bytes < rules.minus.tight_bytes:
            found.append(Reason(code="answer.caveat.tight", values={"left_bytes": pick.left_bytes}))
    if thinks(spec):
        found.append(Reason(code="answer.caveat.thinks", values={"tokens": rules.wait.thinking_tokens}))
    if answer.file_bytes:
        found.append(Reason(code="answer.caveat.download", values={"file_bytes": answer.file_bytes}))
    if spec.commercial_use is not True:
        known = "no_commercial_use" if spec.commercial_use is False else "licence_unclear"
        found.append(Reason(code=f"answer.caveat.{known}", values={"license": spec.license}))
    return found


def _reads_little(pick: Merit) -> bool:
    spec = pick.line.spec
    if not spec.params_active or not spec.params_total:
        return False
    return spec.params_active <= _SMALL_ACTIVE_SHARE * spec.params_total
