"""Members whose lines are computed here: hardware alone in a file, and hardware changed by a what-if.

Equal hardware is computed once. Everything else about a group is merged from its
reports and never computed anew.
"""

from pathlib import Path
from typing import Final

import msgspec

from probe.catalog.enrich import enrich
from probe.errors import InputError
from probe.fleet.decode import Decoder
from probe.fleet.files import open_file, read_rest
from probe.fleet.member import Fleet, Largest, Member, Noted, Unreadable
from probe.machine import Host, Machine
from probe.recommender.answer import Verdict
from probe.recommender.findings import find_problems
from probe.recommender.headline import routes
from probe.recommender.options import Options
from probe.recommender.survey import Surveyed, largest, survey
from probe.report.build import finding_document
from probe.report.read import decode_json, machine_from_json

# Each different machine takes half a second; a group has a few kinds of PC, a cluster one or two.
MAX_DIFFERENT: Final = 40
_STEPS: Final = ((Verdict.COMFORTABLE,), (Verdict.USABLE,), (Verdict.SLOW,))


class Computer:
    """Computes lines of machines, equal hardware once."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._decoder = Decoder()
        self._known: dict[bytes, Member] = {}

    def full(self, machine: Machine, context: int) -> bool:
        """Whether computing this machine would be one more than the limit."""
        return len(self._known) >= MAX_DIFFERENT and _kind(machine, context) not in self._known

    def lines(self, member: Member, machine: Machine) -> Member:
        """The member with the answers for `machine` in place of its report's."""
        kind = _kind(machine, member.context)
        found = self._known.get(kind)
        if found is None:
            found = self._answers(member, machine)
            self._known[kind] = found
        return msgspec.structs.replace(
            member,
            findings=found.findings,
            comfortable=found.comfortable,
            usable=found.usable,
            wish=found.wish,
            wish_cloud=found.wish_cloud,
            lines=found.lines,
        )

    def _answers(self, member: Member, machine: Machine) -> Member:
        surveyed = survey(machine, Options(context=member.context))
        best = next((found for step in _STEPS if (found := largest(surveyed, step))), None)
        cloud = next((route for route in routes(best) if route.route == "cloud"), None)
        gpu = cloud.reason.values.get("gpu") if cloud else None
        findings = (finding_document(finding, self._lang) for finding in find_problems(machine))
        return msgspec.structs.replace(
            member,
            findings=tuple(Noted(one.id, one.severity, one.title, one.values) for one in findings),
            comfortable=_largest(largest(surveyed, (Verdict.COMFORTABLE,))),
            usable=_largest(largest(surveyed, (Verdict.COMFORTABLE, Verdict.USABLE))),
            wish=cloud.example if cloud else None,
            wish_cloud=str(gpu) if gpu else None,
            lines=self._decoder.columns(
                [
                    (line.spec.id, line.answer.verdict.value, line.answer.speed.decode_tokens_per_s)
                    for line in surveyed
                ]
            ),
        )


def read_whole_machine(folder: Path, path: str) -> Machine:
    """The Machine in one file of the folder, read as carefully as the first time.

    Raises:
        InputError: it is no longer there, or no machine.
    """
    import os

    opened = open_file(folder, path)
    if isinstance(opened, Unreadable):
        raise InputError(opened.key, **opened.facts)
    try:
        raw = read_rest(opened, b"")
    except OSError as error:
        raise InputError("fleet.reason.unreadable", detail=error.strerror or "") from error
    finally:
        os.close(opened.descriptor)
    return enrich(machine_from_json(decode_json(raw, path), path))


def complete_hardware_only(fleet: Fleet, folder: Path, lang: str) -> Fleet:
    """The fleet with answers for machines of which the folder holds the hardware alone."""
    if all(member.lines is not None for member in fleet.members):
        return fleet
    computer = Computer(lang)
    members = []
    unreadable = list(fleet.unreadable)
    for member in fleet.members:
        if member.lines is not None:
            members.append(member)
            continue
        try:
            machine = read_whole_machine(folder, member.path)
            full = computer.full(machine, member.context)
            members.append(member if full else computer.lines(member, machine))
        except InputError as error:
            facts = {name: value for name, value in error.facts.items() if name != "path"}
            unreadable.append(_refused(member.path, error.key, facts))
        except (ArithmeticError, LookupError, ValueError) as error:
            # Well-formed and impossible, as a clock of minus one: the other machines keep their answers.
            unreadable.append(Unreadable(member.path, "fleet.reason.impossible", {"value": str(error)[:80]}))
    return Fleet(tuple(members), fleet.past, tuple(unreadable), fleet.files)


def _refused(path: str, key: str, facts: dict[str, str | int | float | bool | None]) -> Unreadable:
    if key.startswith("fleet."):
        return Unreadable(path, key, facts)
    detail = facts.get("detail") or facts.get("where") or key
    return Unreadable(path, "fleet.reason.malformed", {"detail": str(detail)[:200]})


def _largest(line: Surveyed | None) -> Largest | None:
    if line is None:
        return None
    return Largest(
        line.spec.id,
        line.spec.name,
        line.spec.params_total,
        line.answer.quantization,
        line.answer.speed.decode_tokens_per_s,
    )


def _kind(machine: Machine, context: int) -> bytes:
    """Equal for machines that get equal answers: who they are and what is free now does not matter."""
    memory = msgspec.structs.replace(machine.memory, available_bytes=None, swap_free_bytes=None)
    devices = tuple(
        msgspec.structs.replace(device, memory_free_bytes=None, uuid=None, processes=())
        for device in machine.accelerators
    )
    bare = msgspec.structs.replace(
        machine,
        host=Host(os=machine.host.os),
        memory=memory,
        accelerators=devices,
        disks=(),
        provenance={},
        attempts=(),
    )
    return b"%d " % context + msgspec.json.encode(bare)
