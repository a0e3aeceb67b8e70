"""The exception tree and the exit codes. An exception carries a message key and facts, not a sentence."""

from typing import Final

EXIT_DONE: Final = 0
EXIT_ANSWER_IS_NO: Final = 1
EXIT_WRONG_INPUT: Final = 2
EXIT_OUR_FAULT: Final = 3
EXIT_INTERRUPTED: Final = 130

FactValue = str | int | float | bool | None


class ProbeError(Exception):
    """Any failure that we foresaw: `key` names the sentence in probe/messages, `facts` fill it."""

    exit_code: int = EXIT_OUR_FAULT

    def __init__(self, key: str, **facts: FactValue) -> None:
        self.key = key
        self.facts = facts
        super().__init__(f"{key} {facts}")


class InputError(ProbeError):
    """The request or its input is wrong: unknown name, malformed size, unreadable or lying file."""

    exit_code = EXIT_WRONG_INPUT


class UnknownNameError(InputError):
    """A model, device, engine or quantization that no catalog row carries; nearest names are suggested."""

    def __init__(self, key: str, name: str, suggestions: tuple[str, ...] = (), **facts: FactValue) -> None:
        self.name = name
        self.suggestions = suggestions
        super().__init__(key, name=name, suggestions=", ".join(suggestions), **facts)


class AmbiguousNameError(UnknownNameError):
    """A name with several meanings that differ in what they need; all are suggested."""


class CatalogError(ProbeError):
    """Our own data is damaged or missing."""
