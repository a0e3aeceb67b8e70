"""One fact that decided an engine's answer, as data; the recommender makes a reason of it."""

import msgspec

from probe.errors import FactValue


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """`code` names the sentence in messages (topic included), `values` fill it."""

    code: str
    values: dict[str, FactValue] = {}
