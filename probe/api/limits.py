"""The widest wishes that are computed; beyond them a typing error is likelier than a need."""

from typing import Final

MAX_CONTEXT: Final = 100_000_000
MAX_PARALLEL: Final = 100_000
MAX_UBATCH: Final = 1_048_576
PURPOSES: Final = ("general", "korean", "coding", "reasoning", "vision", "embedding", "documents")
MODEL_LANGUAGES: Final = (
    *("ko", "en", "ja", "zh", "es", "fr", "de", "it", "pt", "nl", "pl", "ru", "uk", "cs", "tr"),
    *("ar", "fa", "he", "hi", "bn", "th", "vi", "id"),
)
