"""Typed, bounded look-ups in GGUF metadata."""

from collections.abc import Mapping
from typing import Final

MAX_SIZE: Final = 2**31


class ShapesUnknownError(Exception):
    """A size is missing or impossible."""


class ArchitectureValues:
    """Typed, bounded look-ups under `<architecture>.`."""

    def __init__(self, values: Mapping[str, object]) -> None:
        name = values.get("general.architecture")
        self.values = values
        self.architecture = name if isinstance(name, str) and name else None

    def get(self, key: str) -> object:
        """The raw value; None when missing."""
        return self.values.get(f"{self.architecture}.{key}")

    def number(self, key: str) -> int | None:
        """A size; of a list its first entry that is not zero. None when missing."""
        value = self.get(key)
        if isinstance(value, (list, tuple)):
            value = next((entry for entry in value if entry), 0)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ShapesUnknownError
        if not 0 <= value < MAX_SIZE:
            raise ShapesUnknownError
        return int(value)

    def need(self, key: str) -> int:
        """A size that the model cannot be without.

        Raises:
            ShapesUnknownError: missing, zero or impossible.
        """
        value = self.number(key)
        if not value:
            raise ShapesUnknownError
        return value

    def per_layer(self, key: str, layers: int) -> tuple[int, ...] | None:
        """A list with an entry a layer; None when the key is missing or one number for all."""
        value = self.get(key)
        if not isinstance(value, (list, tuple)):
            return None
        entries = tuple(value[:layers])
        if len(entries) < layers:
            raise ShapesUnknownError
        numbers = [entry for entry in entries if isinstance(entry, (bool, int, float))]
        if len(numbers) < layers or not all(0 <= number < MAX_SIZE for number in numbers):
            raise ShapesUnknownError
        return tuple(int(number) for number in numbers)
