"""The speed figures of one placement."""

import msgspec

from probe.machine.ranges import Range


class SpeedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Single-conversation speeds with the cache filled to `depth_tokens`; None where unknown."""

    decode_tokens_per_s: Range | None = None
    aggregate_tokens_per_s: float | None = None  # over all parallel conversations
    prefill_tokens_per_s: Range | None = None
    decode_limit_tokens_per_s: float | None = None  # memory bandwidth / bytes read per token
    time_to_first_token_s: float | None = None  # of a 2,000-token prompt
    depth_tokens: int = 0
    inputs: dict[str, float | str] = {}  # what the formula was given, for --explain
