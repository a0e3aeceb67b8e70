"""Where each model runs, one model after another: a large group has millions of answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from probe.fleet.member import RUNNING, VERDICT_OF_LETTER, Lines, Member
from probe.report.fleet_documents import FleetModel, RunsOn

_ORDER: Final = {letter: place for place, letter in enumerate(VERDICT_OF_LETTER)}
_Answers = tuple[str, Lines, Sequence[float]]  # a machine's label, its lines and their figures


def models_of(members: Sequence[Member], labels: dict[tuple[str, str], str]) -> Iterator[FleetModel]:
    """Every model of any report with the machines that run it, best first.

    The figures are read at once; a model is made when it is asked for, and nothing of it stays here.
    """
    answers = [
        (labels[member.key], member.lines, member.lines.figures())
        for member in members
        if member.lines is not None
    ]
    model_ids = dict.fromkeys(model_id for _, lines, _ in answers for model_id in lines.ids)
    return (_model(model_id, answers) for model_id in model_ids)


def _model(model_id: str, answers: Sequence[_Answers]) -> FleetModel:
    counts: Counter[str] = Counter()
    rows: list[tuple[int, float, str, int, RunsOn]] = []
    for host, lines, figures in answers:
        at = lines.place.get(model_id)
        if at is None:
            continue
        letter = lines.verdicts[at]
        counts[letter] += 1
        if letter in RUNNING:
            speed = lines.speed_at(at, figures)
            runs_on = RunsOn(host=host, verdict=VERDICT_OF_LETTER[letter], decode_tokens_per_s=speed)
            # By verdict, then the faster, then by name; equal ones stay as they come.
            rows.append((_ORDER[letter], -speed.value if speed else 0.0, host, len(rows), runs_on))
    rows.sort()
    return FleetModel(
        id=model_id,
        runs_on=tuple([row[-1] for row in rows]),
        counts={word: counts.get(letter, 0) for letter, word in VERDICT_OF_LETTER.items()},
    )
