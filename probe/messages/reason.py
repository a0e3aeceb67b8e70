"""A sentence that was not written yet: its code and the facts that fill it."""

import msgspec

from probe.errors import FactValue


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that decided, as data: `code` names the sentence in messages (topic included)."""

    code: str
    values: dict[str, FactValue] = {}
