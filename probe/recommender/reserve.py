"""What `--reserve` leaves: memory that a game or another program needs beside the model."""

import msgspec

from probe.errors import FactValue
from probe.recommender.answer import Estimate, Reason
from probe.recommender.options import Options

# Its budget is a share of the GPU that it takes for itself, whatever else should stay free.
_TAKES_A_SHARE = frozenset({"vllm"})


def with_reserve(answer: Estimate, options: Options) -> Estimate:
    """`answer` with a sentence on what was kept free and what remains; as it is where nothing was asked.

    The reserve is kept on every GPU; on machines without a usable GPU it is kept in RAM.
    """
    if not options.reserve_bytes or not answer.memory.per_device:
        return answer
    reason = _reason(answer, options.reserve_bytes)
    return msgspec.structs.replace(answer, reasons=(*answer.reasons, reason))


def _reason(answer: Estimate, kept: int) -> Reason:
    values: dict[str, FactValue] = {"reserve_bytes": kept}
    if answer.engine in _TAKES_A_SHARE:
        return Reason(code="desktop.reserve.not_kept", values=values)
    gpus = [device for device in answer.memory.per_device if device.device != "cpu"]
    if not gpus:
        return Reason(code="desktop.reserve.elsewhere", values=values)
    left = min((device.available_bytes or 0) - (device.total_bytes or 0) for device in gpus)
    values["left_bytes"] = max(0, left)
    return Reason(code="desktop.reserve.kept" if answer.fits else "desktop.reserve.too_much", values=values)
