"""What was asked, what came back, how long it took: a failed probe is data."""

import enum

import msgspec


class AttemptResult(enum.Enum):
    """How asking a source ended."""

    OK = "ok"
    ABSENT = "absent"  # the source does not exist on this machine
    DENIED = "denied"  # it exists, we may not read it
    FAILED = "failed"  # it answered with an error or nonsense
    TIMEOUT = "timeout"  # it hung and was abandoned
    SKIPPED = "skipped"  # not asked, reason in detail


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One source asked once. `detail` is short, redacted English: error name and what it means."""

    source: str
    result: AttemptResult
    ms: float
    detail: str | None = None
    code: str | None = None  # sentence and fix in messages topic `states`


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where one figure came from. `kind` is `read`, `catalog`, `measured`, `spec` or `user`."""

    kind: str
    source: str
