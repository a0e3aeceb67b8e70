"""What an engine's module answers: one way to run a model, with everything that was computed for it."""

import msgspec

from probe.estimate.breakdown import MemoryBreakdown
from probe.machine.ranges import ByteRange
from probe.messages.reason import Reason


class EngineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`left_bytes` of `pool_bytes` stay free with the asked conversations in memory.

    `split` is none, layer or tensor; `stages` counts devices that work one after
    another. `memory_range` holds the ends of the total, where parts are estimated.
    """

    devices: tuple[str, ...]
    split: str = "none"
    stages: int = 1
    unified: bool = False
    memory: MemoryBreakdown
    memory_range: ByteRange | None = None
    kv_type: str
    fits: bool | None
    fits_now: bool | None = None
    left_bytes: int | None = None
    pool_bytes: int | None = None
    max_context: int | None = None
    causes: tuple[Reason, ...] = ()
    command: str | None = None
