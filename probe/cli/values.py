"""Values of options: read strictly, refused with what would have been right."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from probe.errors import InputError, UnknownNameError
from probe.units import parse_memory_size

FORMATS: Final = ("terminal", "markdown", "json", "html", "csv")


def nearest(name: str, known: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """The known names most like `name`, for "did you mean"."""
    import difflib

    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)
    return tuple(lowered[candidate] for candidate in found)


class Choice:
    """A reader that takes one of `known`, letter case aside; `known` also serves shell completion."""

    several: bool = False

    def __init__(self, option: str, known: Sequence[str]) -> None:
        self.option = option
        self.known = tuple(known)
        self.__name__ = option  # typer names the type of an option so

    def __call__(self, text: str) -> str:
        """The name as we spell it.

        Raises:
            UnknownNameError: it is none of them; near ones are suggested.
        """
        lowered = text.strip().lower()
        for candidate in self.known:
            if candidate.lower() == lowered:
                return candidate
        likely = nearest(text, self.known)
        key = "cli.usage.bad_choice_near" if likely else "cli.usage.bad_choice"
        raise UnknownNameError(key, text, likely or self.known, option=self.option)


class Choices(Choice):
    """A reader that takes several of `known`, separated by commas, and gives them back so, each once."""

    several = True

    def __call__(self, text: str) -> str:
        """The names as we spell them, with commas.

        Raises:
            UnknownNameError: one of them is none of ours, or there is none.
        """
        one = super().__call__
        parts = [part for part in text.split(",") if part.strip()]
        if not parts:
            raise UnknownNameError("cli.usage.bad_choice", text, self.known, option=self.option)
        return ",".join(dict.fromkeys(one(part) for part in parts))


def choice(option: str, known: Sequence[str]) -> Choice:
    """A reader that takes one of `known`, letter case aside."""
    return Choice(option, known)


def choices(option: str, known: Sequence[str]) -> Choices:
    """A reader that takes several of `known`, separated by commas, and gives them back so, each once."""
    return Choices(option, known)


def whole_number(option: str, highest: int, *, allow_k: bool = False) -> Callable[[str], int]:
    """A reader of whole numbers from 1 to `highest`; with `allow_k`, `32k` is 32 × 1024."""

    def read(text: str) -> int:
        written = str(text).strip().lower().replace(",", "").replace("_", "")
        factor = 1
        if allow_k and written.endswith("k"):
            written, factor = written[:-1], 1024
        # isdecimal would also take digits of other scripts
        if not (written.isascii() and written.isdigit()) or len(written) > 18:
            raise InputError("cli.usage.bad_number", option=option, text=str(text))
        number = int(written) * factor
        if not 1 <= number <= highest:
            raise InputError("cli.usage.number_out_of_range", option=option, text=str(text), highest=highest)
        return number

    return read


def kv_type(text: str) -> str:
    """A reader of KV cache types, spelled as llama.cpp spells them."""
    from probe.catalog.quantizations import kv_cache_types

    return choice("--kv-type", [row.name for row in kv_cache_types("llama.cpp")])(text)


def kv_type_of(engine: str | None, text: str | None) -> str | None:
    """The asked cache type as the engine spells it; fp8 is known to vLLM and others, not to llama.cpp."""
    if text is None:
        return None
    from probe.catalog.engines import find_engine
    from probe.catalog.quantizations import askable_kv_types

    return choice("--kv-type", askable_kv_types(None if engine is None else find_engine(engine).id))(text)


def memory_size(text: str | int) -> int:
    """A reader of memory sizes: `4GB` is 4 GiB. Defaults, already bytes, stay as they are."""
    return text if isinstance(text, int) else int(parse_memory_size(text))


def place(option: str) -> Callable[[str | Path], Path]:
    """A reader of paths. An empty one, as an unset variable in a script gives it, is not this folder."""

    def read(text: str | Path) -> Path:
        if not str(text).strip():
            raise InputError("cli.usage.empty_path", option=option)
        return Path(text)

    return read


def address(option: str) -> Callable[[str], str]:
    """A reader of addresses of servers, as http:// or https://."""

    def read(text: str) -> str:
        scheme, marked, rest = text.strip().partition("://")
        if scheme.lower() not in ("http", "https") or not marked or not rest.strip("/") or " " in rest:
            raise InputError("cli.usage.bad_address", option=option, text=text)
        return text.strip()

    return read


def positive_number(option: str) -> Callable[[str], float]:
    """A reader of numbers above 0 and below a million."""

    def read(text: str) -> float:
        try:
            value = float(str(text))
        except ValueError:
            value = 0.0
        if not 0 < value < 1_000_000:
            raise InputError("cli.usage.bad_speed", option=option, text=str(text))
        return value

    return read
