"""`probe doctor --error`: recognised errors as findings with their sentences."""

from probe.machine import Machine
from probe.machine.redact import redact
from probe.messages import t
from probe.recommender.explain_error import Explanation, explain
from probe.report.documents import DoctorDocument, FindingDocument


def build_error_answer(text: str, machine: Machine, *, lang: str) -> DoctorDocument:
    """What a pasted error means on this machine; no findings where nothing is recognised."""
    found = explain(text, redact(machine))
    return DoctorDocument(findings=tuple(_finding(one, lang) for one in found))


def _finding(one: Explanation, lang: str) -> FindingDocument:
    values = {**one.values, "quote": one.quote}

    def say(kind: str, codes: tuple[str, ...]) -> str:
        return " ".join(t(f"errors.{kind}.{code}", lang, **values) for code in codes)

    known = {name: value for name, value in values.items() if value is not None}
    return FindingDocument(
        id=f"error.{one.id}",
        severity=one.severity.value,
        title=t(f"errors.{one.id}.title", lang, **values),
        evidence=say("fact", ("quote", *one.facts)),
        detail=t(f"errors.{one.id}.detail", lang, **values),
        fix=say("advice", one.advice),
        values={**known, "engine": one.engine, "source": one.source},
    )
