"""The answer "we cannot compute this one", as data."""

from typing import Final

from probe.errors import FactValue, ProbeError

UNKNOWN_ARCHITECTURE: Final = "model_files.not_modeled.architecture"
UNKNOWN_SHAPES: Final = "model_files.not_modeled.shapes"
UNKNOWN_FORMAT: Final = "model_files.not_modeled.format"


class NotModeledError(ProbeError):
    """What was asked has no formula here: the caller answers "unknown", never a guess.

    `key` names the sentence, as in every ProbeError. It reaches the exit code only
    when nobody turned it into a null figure with its reason.
    """

    def __init__(self, key: str, **facts: FactValue) -> None:
        super().__init__(key, **facts)
