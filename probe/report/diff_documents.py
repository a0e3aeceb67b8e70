"""`probe diff --json`: what changed between two reports or machines, for the better or the worse."""

import msgspec

from probe.messages.reason import Reason
from probe.report.documents import SCHEMA_VERSION

# What a change is about, in the order of the page.
KINDS = ("hardware", "driver", "system", "finding", "engine", "verdict", "speed", "catalog")
DiffValue = str | int | float | bool | None


class ChangeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `path` is a JSON pointer into the newer document; effect: better, worse, neutral."""

    path: str
    before: DiffValue
    after: DiffValue
    effect: str
    kind: str
    text: str
    code: Reason


class DiffDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="diff"):
    """Every change, worse ones first within its kind. `same_machine` None: one of them has no identity."""

    schema_version: str = SCHEMA_VERSION
    before_name: str | None
    after_name: str | None
    before_at: str | None
    after_at: str | None
    same_machine: bool | None
    compared_models: int
    changes: tuple[ChangeDocument, ...]
