"""A config.json read with care: typed, bounded, with transformers' defaults where a key is missing."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

from probe.catalog.files import read_data
from probe.errors import InputError

MAX_DEPTH: Final = 32
MAX_NODES: Final = 200_000
MAX_LAYERS: Final = 2_000
MAX_SIZE: Final = 10**9  # no dimension of a model is larger; products of four stay below 10^36
# names of the sizes that every family has, most common first
HIDDEN: Final = ("hidden_size", "n_embd", "d_model")
LAYERS: Final = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HEADS: Final = ("num_attention_heads", "n_head", "n_heads")
_TEXT_KEYS: Final = ("text_config", "llm_config", "language_config", "thinker_config", "llm")
_UNSET: Final = object()


@lru_cache(maxsize=1)
def _defaults() -> Mapping[str, Any]:
    """Class defaults per model type: catalogs/models/config_defaults.json, from the transformers package."""
    types: Mapping[str, Any] = json.loads(read_data("catalogs/models/config_defaults.json"))["types"]
    return types


def check_shape(config: Mapping[str, object], model_id: str) -> None:
    """Refuse nesting and sizes that no model has, before anything walks the document.

    Raises:
        InputError: deeper than 32 levels, or more than 200,000 values.
    """
    stack: list[tuple[object, int]] = [(config, 0)]
    nodes = 0
    while stack:
        node, depth = stack.pop()
        nodes += 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise InputError(
                "model_files.config.too_large", model=model_id, depth=MAX_DEPTH, values=MAX_NODES
            )
        if isinstance(node, Mapping):
            stack.extend((value, depth + 1) for value in node.values())
        elif isinstance(node, list | tuple):
            stack.extend((value, depth + 1) for value in node)


class ConfigView:
    """One level of a config.json. null is null, as in transformers; a missing key takes its default."""

    def __init__(
        self, raw: Mapping[str, object], model_type: str | None, model_id: str, path: str = ""
    ) -> None:
        self.raw = raw
        self.model_type = model_type
        self._model_id = model_id
        self._path = path
        entry = _defaults().get(model_type or "", {})
        self._class_defaults: Mapping[str, Any] = entry.get("defaults", {})
        renames: Mapping[str, str] = entry.get("renames", {})
        self._aliases = _aliases(renames)

    def has(self, *names: str) -> bool:
        """Whether the file itself sets one of `names` to something other than null."""
        return any(self._stored(name) not in (None, _UNSET) for name in names)

    def value(self, name: str, default: object = None) -> object:
        """The file's value, else transformers' default for this model type, else `default`."""
        stored = self._stored(name)
        if stored is not _UNSET:
            return stored
        for alias in self._names(name):
            if alias in self._class_defaults:
                return self._class_defaults[alias]
        return default

    def class_has(self, name: str) -> bool:
        """Whether transformers' class of this model type has a field of this name."""
        return name in self._class_defaults

    def size(self, *names: str, default: int | None = None) -> int | None:
        """A whole number from 0 to 10^9 under the first of `names` that has one; None where null.

        Raises:
            InputError: negative, fractional, not finite, too large or not a number.
        """
        for name in names:
            value = self.value(name)
            if value is not None:
                return self._checked(name, value)
        return default

    def need(self, *names: str, least: int = 1) -> int:
        """Like `size`, for figures without which nothing can be computed.

        Raises:
            InputError: missing, or below `least`.
        """
        value = self.size(*names)
        if value is None:
            raise InputError(
                "model_files.config.field_missing", model=self._model_id, field=self._path + names[0]
            )
        if value < least:
            self._refuse(names[0], value)
        return value

    def layers(self, *names: str) -> int:
        """Number of layers, at most 2,000.

        Raises:
            InputError: missing or impossible.
        """
        count = self.need(*names)
        if count > MAX_LAYERS:
            self._refuse(names[0], count)
        return count

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string; None where the file writes something else."""
        value = self.value(name)
        return value if isinstance(value, str) else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value; numbers count as in Python."""
        value = self.value(name)
        return bool(value) if isinstance(value, bool | int) else default

    def number(self, name: str, default: float | None = None) -> float | None:
        """A finite number.

        Raises:
            InputError: not a number, not finite.
        """
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._refuse(name, value)
        return float(value)

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers.

        Raises:
            InputError: a wrong entry, or more entries than any model has layers.
        """
        value = self.value(name)
        if not isinstance(value, list | tuple):
            return None
        if len(value) > MAX_LAYERS:
            self._refuse(name, f"[{len(value)} entries]")
        return tuple(self._checked(name, entry) for entry in value)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, None where the file has no such list.

        Raises:
            InputError: a list with other entries, or too long.
        """
        value = self.value(name)
        if not isinstance(value, list | tuple):
            return None
        if len(value) > MAX_LAYERS or not all(isinstance(entry, str) for entry in value):
            self._refuse(name, f"[{len(value)} entries]")
        return tuple(str(entry) for entry in value)

    def below(self, name: str) -> "ConfigView | None":
        """The nested object `name`, read without defaults of its own."""
        value = self.value(name)
        if not isinstance(value, Mapping):
            return None
        return ConfigView(value, None, self._model_id, f"{self._path}{name}.")

    def _names(self, name: str) -> Iterator[str]:
        yield name
        yield from self._aliases.get(name, ())

    def _stored(self, name: str) -> object:
        for alias in self._names(name):
            if alias in self.raw:
                return self.raw[alias]
        return _UNSET

    def _checked(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(name, value)
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            self._refuse(name, value)
        if not 0 <= value <= MAX_SIZE:
            self._refuse(name, value)
        return int(value)

    def _refuse(self, name: str, value: object) -> NoReturn:
        raise InputError(
            "model_files.config.field_wrong",
            model=self._model_id,
            field=self._path + name,
            value=str(value)[:60],
        )


def _aliases(renames: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Both directions of transformers' attribute map: either spelling may stand in the file."""
    found: dict[str, tuple[str, ...]] = {}
    for one, other in renames.items():
        found[one] = (*found.get(one, ()), other)
        found[other] = (*found.get(other, ()), one)
    return found


def open_config(config: Mapping[str, object], model_id: str) -> tuple[ConfigView, ConfigView]:
    """The whole file and the part that describes the language model (the same where nothing is nested).

    Raises:
        InputError: not an object, or nested beyond reason.
    """
    if not isinstance(config, Mapping):
        raise InputError("model_files.config.not_an_object", model=model_id)
    check_shape(config, model_id)
    model_type = config.get("model_type")
    outer = ConfigView(config, model_type if isinstance(model_type, str) else None, model_id)
    for key in _TEXT_KEYS:
        inner = config.get(key)
        if isinstance(inner, Mapping) and inner:
            return outer, _inner_view(outer, inner, key, model_id)
    return outer, outer


def text_model_type(config: Mapping[str, object]) -> str | None:
    """Model type of the language model in a document that `open_config` accepted before."""
    for key in _TEXT_KEYS:
        inner = config.get(key)
        if isinstance(inner, Mapping) and inner:
            deeper = inner.get("text_config") if key == "thinker_config" else None
            return _nested_type(config, deeper if isinstance(deeper, Mapping) else inner, key)
    written = config.get("model_type")
    return written if isinstance(written, str) else None


def _nested_type(outer: Mapping[str, object], inner: Mapping[str, object], key: str) -> str | None:
    """The nested part's own type, else the one the outer class prescribes, else the outer's."""
    prescribed = _defaults().get(str(outer.get("model_type")), {}).get("nested", {}).get(key)
    for written in (inner.get("model_type"), prescribed, outer.get("model_type")):
        if isinstance(written, str):
            return written
    return None


def _inner_view(outer: ConfigView, inner: Mapping[str, object], key: str, model_id: str) -> ConfigView:
    """The nested text model; its type may be missing and then is the one the outer class prescribes."""
    if key == "thinker_config" and isinstance(inner.get("text_config"), Mapping):
        return _inner_view(outer, inner["text_config"], "text_config", model_id)  # type: ignore[arg-type]  # checked
    return ConfigView(inner, _nested_type(outer.raw, inner, key), model_id, f"{key}.")
