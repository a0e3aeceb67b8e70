"""How many machines run a model of each size, and who runs one model."""

from collections import Counter
from collections.abc import Iterable, Sequence

from probe.catalog.models import find_model
from probe.catalog.size_classes import size_classes
from probe.fleet.member import GOOD, LETTER_OF_VERDICT, VERDICT_OF_LETTER, Member
from probe.report.fleet_documents import LadderRow, RunsOn, ServerOffer

_ORDER = {letter: place for place, letter in enumerate(VERDICT_OF_LETTER)}


def counts_of(members: Iterable[Member], model_id: str) -> dict[str, int]:
    """How many machines give each verdict for one model; machines without lines count as unknown."""
    letters = Counter(member.lines.verdict(model_id) if member.lines else "?" for member in members)
    return {word: letters.get(letter, 0) for letter, word in VERDICT_OF_LETTER.items()}


def ladder(members: Sequence[Member]) -> tuple[LadderRow, ...]:
    """One row for each size class of the catalog."""
    return tuple(
        LadderRow(size_class=size.size_class, model=model, counts=counts_of(members, model))
        for size in size_classes().size
        for model in (find_model(size.model).id,)
    )


def offers(
    servers: Iterable[Member], model_id: str, labels: dict[tuple[str, str], str]
) -> tuple[ServerOffer, ...]:
    """The servers that a person can work with for this model: with an address first, then the better."""
    able = [
        (member, member.lines.verdict(model_id), member.lines.speed(model_id))
        for member in servers
        if member.lines is not None and member.lines.verdict(model_id) in GOOD
    ]
    able.sort(
        key=lambda one: (
            one[0].api_url is None,
            _ORDER[one[1]],
            -(one[2].value if one[2] else 0.0),
            one[0].name,
        )
    )
    return tuple(
        ServerOffer(
            host=labels[member.key],
            address=member.api_url,
            verdict=VERDICT_OF_LETTER[letter],
            decode_tokens_per_s=speed,
        )
        for member, letter, speed in able
    )


def machines_for(
    members: Iterable[Member], model_id: str, labels: dict[tuple[str, str], str]
) -> tuple[RunsOn, ...]:
    """Every machine with a line for this model, best first."""
    found = [
        RunsOn(
            host=labels[member.key],
            verdict=VERDICT_OF_LETTER[member.lines.verdict(model_id)],
            decode_tokens_per_s=member.lines.speed(model_id),
        )
        for member in members
        if member.lines is not None and model_id in member.lines.place
    ]
    return tuple(sorted(found, key=_best_first))


def _best_first(entry: RunsOn) -> tuple[int, float, str]:
    speed = entry.decode_tokens_per_s
    return (_ORDER[LETTER_OF_VERDICT[entry.verdict]], -speed.value if speed else 0.0, entry.host)
