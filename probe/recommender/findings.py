"""What is broken or wasted on a machine: all themes together, worst first, with what fixes would change."""

from probe.machine import Machine
from probe.recommender.doctor.devices import device_findings
from probe.recommender.doctor.drivers import driver_findings
from probe.recommender.doctor.finding import Effect, Finding, Severity
from probe.recommender.doctor.processor import memory_findings, processor_findings
from probe.recommender.doctor.software import software_findings

__all__ = ["Effect", "Finding", "Severity", "find_problems"]


def find_problems(machine: Machine, *, effects: bool = False) -> tuple[Finding, ...]:
    """All findings, worst first, in a fixed order.

    Args:
        machine: enriched: catalog figures decide some findings and every effect.
        effects: also compute what fixes would change: some 20 estimates for each finding with a remedy.
    """
    found = [
        *device_findings(machine),
        *driver_findings(machine),
        *processor_findings(machine),
        *memory_findings(machine),
        *software_findings(machine),
    ]
    order = list(Severity)
    ordered = tuple(sorted(found, key=lambda finding: order.index(finding.severity)))
    if not effects:
        return ordered
    from probe.recommender.doctor.effects import with_effects

    return with_effects(machine, ordered)
