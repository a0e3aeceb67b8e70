"""Which of the models that run to take: the short answer by role, or a few per purpose.

Ranking uses capacity and published or prior quality only, never the RAM that
happens to be free: same machine, same day, same answer.
"""

from collections.abc import Callable, Iterator

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.ranking import ranking_weights
from probe.machine.ranges import Range
from probe.recommender.answer import Estimate, Reason
from probe.recommender.merit import Filters, Merit, candidates, left_bytes, merit, thinks, uses_gpu
from probe.recommender.options import PURPOSES
from probe.recommender.rank_reasons import why
from probe.recommender.survey import Surveyed

PER_PURPOSE = 5
# Roles of the short answer and the purpose that each is chosen for, in the order they are shown.
ROLES = {
    "best": "general",
    "fast": "general",
    "korean": "korean",
    "documents": "documents",
    "smallest": "general",
}


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """One pick: its place, what for, its quality score and why it stands there.

    `also` holds further roles of the short answer that the same model fills best.
    """

    rank: int
    purpose: str
    role: str
    spec: ModelSpec
    answer: Estimate
    quality: Range | None
    why: tuple[Reason, ...]
    also: tuple[str, ...] = ()


def rank(
    lines: tuple[Surveyed, ...], purposes: tuple[str, ...], keep: Filters | None = None
) -> tuple[Recommendation, ...]:
    """The short answer by role, at most five models; with purposes asked, at most five for each.

    Args:
        purposes: as asked with --for; empty means the short answer.
        keep: languages and licences the user insists on.
    """
    if not purposes:
        return _by_role(lines, keep)
    wanted = [purpose for purpose in PURPOSES if purpose in purposes]
    found: list[Recommendation] = []
    for purpose in wanted:
        chosen = candidates(lines, purpose, keep=keep)
        talker = found[0] if found and found[0].purpose != "embedding" else None
        if purpose == "embedding" and talker is not None:
            chosen = _beside(chosen, talker)
        found += _front(chosen, purpose, talker)
    return tuple(found)


def _by_role(lines: tuple[Surveyed, ...], keep: Filters | None) -> tuple[Recommendation, ...]:
    general = candidates(lines, "general", keep=keep)
    if not general:
        return ()
    best = general[0]
    picks: dict[str, Merit | None] = {
        "best": best,
        "fast": _fastest(general),
        "korean": next(iter(candidates(lines, "korean", keep=keep)), None),
        "documents": _longest(candidates(lines, "documents", keep=keep)),
        "smallest": _smallest(general),
    }
    roles_of: dict[str, list[str]] = {}
    for role, pick in picks.items():
        if pick is not None:
            roles_of.setdefault(pick.line.spec.id, []).append(role)
    found: list[Recommendation] = []
    for role, pick in picks.items():
        if pick is None or roles_of[pick.line.spec.id][0] != role:
            continue
        also = tuple(roles_of[pick.line.spec.id][1:])
        # Trades are told in the purpose's own points and waits.
        first = best if pick is best else merit(best.line, ROLES[role], has_gpu=uses_gpu(lines))
        found.append(
            _recommendation(
                pick, place=len(found) + 1, purpose=ROLES[role], role=role, first=first, also=also
            )
        )
    return tuple(found)


def _recommendation(
    pick: Merit, *, place: int, purpose: str, role: str, first: Merit, also: tuple[str, ...] = ()
) -> Recommendation:
    return Recommendation(
        rank=place,
        purpose=purpose,
        role=role,
        spec=pick.line.spec,
        answer=pick.line.answer,
        quality=pick.quality,
        why=why(pick, role, purpose, None if pick is first else first, also),
        also=also,
    )


def _fastest(general: tuple[Merit, ...]) -> Merit | None:
    """The quickest answer among good ones, where it is clearly quicker than the best's."""
    rules = ranking_weights().roles
    best = general[0]
    least = max(best.answers - rules.fast_within, min(rules.smallest_quality, best.answers))
    good = [one for one in general if one.answers >= least and one.wait_s]
    quickest = min(good, key=lambda one: one.wait_s or 0.0, default=None)
    if quickest is None or best.wait_s is None or quickest.wait_s is None:
        return None
    # Among nearly equally quick ones the better.
    close = [one for one in good if (one.wait_s or 0.0) <= quickest.wait_s * 1.15]
    chosen = max(close, key=lambda one: one.points)
    return chosen if best.wait_s >= rules.fast_times * (chosen.wait_s or 0.0) else None


def _longest(documents: tuple[Merit, ...]) -> Merit | None:
    """The best reader of long texts, if any holds a long one at all."""
    least = ranking_weights().roles.documents_context
    return next((one for one in documents if (one.context or 0) >= least), None)


def _smallest(general: tuple[Merit, ...]) -> Merit | None:
    """The smallest download that still gives useful answers, where that saves much."""
    rules = ranking_weights().roles
    least = max(general[0].answers - rules.smallest_within, rules.smallest_quality)
    useful = [one for one in general if one.answers >= least and not thinks(one.line.spec)]
    smallest = min(useful, key=lambda one: one.line.answer.file_bytes or 0, default=None)
    if smallest is None:
        return None
    size, first = smallest.line.answer.file_bytes or 0, general[0].line.answer.file_bytes or 0
    return smallest if size <= rules.smallest_share * first else None


def pareto_values(one: Merit) -> tuple[float, float, float, float]:
    """Quality, quickness, context and room left: more is better in each."""
    return (
        round(one.answers, 1),
        -(one.wait_s if one.wait_s is not None else float("inf")),
        float(min(one.context or 0, ranking_weights().roles.documents_best)),
        float(one.left_bytes or 0),
    )


def pareto(chosen: tuple[Merit, ...]) -> tuple[Merit, ...]:
    """Those that no other beats in quality, speed, context and room at once; the order is kept."""
    values = [pareto_values(one) for one in chosen]
    return tuple(
        one
        for one, own in zip(chosen, values, strict=True)
        if not any(
            other != own and all(theirs >= mine for theirs, mine in zip(other, own, strict=True))
            for other in values
        )
    )


def _front(
    chosen: tuple[Merit, ...], purpose: str, talker: Recommendation | None
) -> Iterator[Recommendation]:
    if not chosen:
        return
    first = chosen[0]
    # A quick model whose answers are no help is on the front, and no recommendation.
    least = first.answers - ranking_weights().roles.smallest_within
    helpful = tuple(one for one in chosen if one.answers >= least)
    front = (first, *(one for one in pareto(helpful) if one is not first))
    taken: set[tuple[str, str | None]] = set()
    place = 0
    for one in front:
        row = (one.line.spec.family or one.line.spec.name, one.line.spec.variant)
        if row in taken:
            continue
        taken.add(row)
        place += 1
        role = _advantage(one, first)
        pick = _recommendation(one, place=place, purpose=purpose, role=role, first=first)
        if purpose == "embedding" and talker is not None:
            beside = Reason(code="answer.why.beside", values={"model": talker.spec.name})
            pick = msgspec.structs.replace(pick, why=(*pick.why, beside))
        yield pick
        if place == PER_PURPOSE:
            return


def _advantage(one: Merit, first: Merit) -> str:
    """What a pick does better than the first: the role it is shown with."""
    if one is first:
        return "best"
    better: tuple[tuple[str, Callable[[Merit], float], float], ...] = (
        ("fast", lambda pick: 1 / pick.wait_s if pick.wait_s else 0.0, 1.25),
        ("documents", lambda pick: float(pick.context or 0), 1.5),
        ("smallest", lambda pick: 1 / (pick.line.answer.file_bytes or 1), 1.5),
    )
    for role, of, times in better:
        if of(one) >= times * of(first) > 0:
            return role
    return "alternative"


def _beside(chosen: tuple[Merit, ...], talker: Recommendation) -> tuple[Merit, ...]:
    """Embedding models that fit into what the chat model leaves where it computes."""
    room = left_bytes(talker.answer)
    if room is None:
        return ()
    return tuple(one for one in chosen if (one.line.answer.memory.total_bytes or 0) <= room)
