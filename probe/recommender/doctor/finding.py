"""One finding as data: a code, how bad it is, the facts that prove it, and what its fix would change."""

import enum

import msgspec

from probe.errors import FactValue


class Severity(enum.Enum):
    """How much it matters, worst first."""

    CRITICAL = "critical"  # a device that is there cannot be used
    WARNING = "warning"  # works, much slower or smaller than it could
    NOTICE = "notice"  # worth knowing
    INFO = "info"


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What the fix would change, by the one estimator; None = that figure does not change or is not known.

    `largest_*` are size classes that run with `verdict`; `largest_before` None = none did.
    """

    model: str | None = None
    quantization: str | None = None
    before_tokens_per_s: float | None = None
    after_tokens_per_s: float | None = None
    verdict: str | None = None  # comfortable or usable
    largest_before: str | None = None
    largest_after: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `id` names four sentences in messages topic `findings`: title, evidence, detail, fix."""

    id: str
    severity: Severity
    values: dict[str, FactValue] = {}
    effect: Effect | None = None
