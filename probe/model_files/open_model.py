"""Whatever a user points at becomes a ModelSpec: GGUF, safetensors, config.json, a folder, `hf:org/name`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from probe.catalog.model_spec import ModelSpec, StoredTensor
from probe.catalog.quantizations import recipe_by_file_type
from probe.errors import InputError
from probe.long_paths import openable
from probe.model_files.gguf import GgufHeader, read_gguf
from probe.model_files.gguf_model import model_from_metadata
from probe.model_files.hf_config import spec_from_config
from probe.model_files.llama_cpp_form import as_llama_cpp_converts
from probe.model_files.safetensors import (
    INDEX_NAME,
    MAX_INDEX_BYTES,
    SafetensorsHeader,
    read_checkpoint,
    read_safetensors,
    read_small,
    shard_names,
)
from probe.plain_text import plain_utf8

ONLINE_PREFIX: Final = "hf:"
_MAX_CONFIG_BYTES: Final = 4 * 2**20
_SUFFIXES: Final = (".gguf", ".safetensors", ".json", ".onnx")
_PLAIN: Final = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
_TOWERS: Final = (
    "visual.", "vision_tower.", "vision_model.", "vision_embed_tokens.", "audio_tower.",
    "multi_modal_projector.", "embed_vision.", "embed_audio.", "mm_projector.", "vision_encoder.",
    "sound_encoder.",
)  # fmt: skip


def names_a_file(text: str) -> bool:
    """Whether `text` means a file, a folder or a repository rather than a catalog model."""
    if text.startswith(ONLINE_PREFIX) or text.lower().endswith(_SUFFIXES):
        return True
    return text.startswith((".", "~", "/", "\\")) or "\\" in text or Path(text).is_dir()


def open_model(text: str, *, online: bool = False) -> ModelSpec:
    """The model that a path or `hf:org/name` names, with the very tensors of its files.

    Only headers are read. A bare config.json gives shapes without tensors. Of a GGUF
    of an architecture we do not know the tensors are exact and the shapes unknown.

    Args:
        online: whether `hf:` may ask the network.

    Raises:
        InputError: no such file, several models in one folder, damaged or lying files,
            or the network is needed and not allowed.
    """
    if text.startswith(ONLINE_PREFIX):
        if not online:
            raise InputError("model_files.online_needed", model=text)
        from probe.model_files.hub import open_repository

        return open_repository(text[len(ONLINE_PREFIX) :])
    path = openable(Path(text).expanduser())
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise InputError("model_files.not_found", path=ascii(text[:200])) from error
    if not is_there:
        raise InputError("model_files.not_found", path=text[:400])
    return msgspec.structs.replace(_open_folder(path) if is_folder else _open_file(path), path=text)


def _open_file(path: Path) -> ModelSpec:
    if path.name == INDEX_NAME:
        return _open_folder(path.parent)
    if path.suffix.lower() == ".json":
        return _bare_config(path)
    if path.suffix.lower() == ".safetensors":
        return _open_safetensors(path)
    if path.suffix.lower() == ".onnx":
        from probe.model_files.onnx import read_onnx
        from probe.model_files.onnx_model import onnx_spec

        return onnx_spec(read_onnx(path), name=path.name)
    return gguf_spec(read_gguf(path), name=path.name)


def _bare_config(path: Path) -> ModelSpec:
    config = read_config(path)
    if "kind" in config and "schema_version" in config:
        raise InputError("model_files.own_document", path=path.name)
    spec = checkpoint_spec(config, None, name=_name_of(path), origin="config")
    if spec.model_type is None and spec.hf_architecture is None and spec.dimensions is None:
        raise InputError("model_files.no_config", path=path.name)
    return spec


def _name_of(path: Path) -> str:
    """A config.json is called after its folder."""
    parent = path.resolve().parent.name
    return parent if path.name == "config.json" and parent else path.stem


def _open_folder(folder: Path) -> ModelSpec:
    config = folder / "config.json"
    name = folder.resolve().name or str(folder)
    tensors = read_checkpoint(folder)
    if config.is_file():
        return checkpoint_spec(
            read_config(config), tensors, name=name, origin="safetensors" if tensors else "config"
        )
    if tensors is not None:
        return checkpoint_spec(None, tensors, name=name, origin="safetensors")
    models = _gguf_models(folder) or sorted(folder.glob("*.onnx"))
    if len(models) == 1:
        return _open_file(models[0])
    if models:
        listed = ", ".join(path.name for path in models[:4]) + (", ..." if len(models) > 4 else "")
        raise InputError("model_files.several_models", path=str(folder), count=len(models), names=listed)
    raise InputError("model_files.no_model", path=str(folder))


def _gguf_models(folder: Path) -> list[Path]:
    """GGUF models of a folder: of split ones the first part; projectors for images are no models."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf")
    except OSError as error:
        raise InputError("model_files.unreadable", path=str(folder), detail=str(error.strerror)) from error
    return [path for path in files if "mmproj" not in path.name.lower() and _is_first_part(path.name)]


def _is_first_part(name: str) -> bool:
    from probe.model_files.gguf_split import part_number

    return part_number(name) in (None, 1)


def _open_safetensors(path: Path) -> ModelSpec:
    """One file, or the whole checkpoint when the file is one of its shards."""
    index, config = path.parent / INDEX_NAME, path.parent / "config.json"
    if index.is_file() and path.name in shard_names(read_small(index, MAX_INDEX_BYTES), INDEX_NAME):
        return _open_folder(path.parent)
    found = read_config(config) if config.is_file() else None
    return checkpoint_spec(found, read_safetensors(path), name=path.stem, origin="safetensors")


def read_config(path: Path) -> dict[str, Any]:
    """A config.json as a dictionary.

    Raises:
        InputError: not readable, not JSON, or not an object.
    """
    return parse_config(read_small(path, _MAX_CONFIG_BYTES), path.name)


def parse_config(text: bytes, name: str) -> dict[str, Any]:
    """The object that a config.json holds.

    Raises:
        InputError: not JSON, nested beyond reason, or not an object.
    """
    try:
        return msgspec.json.decode(plain_utf8(text), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("model_files.config_damaged", path=name) from error


def gguf_spec(header: GgufHeader, *, name: str) -> ModelSpec:
    """The model of a GGUF header; the length of the skipped vocabulary stands in for it."""
    metadata: dict[str, object] = dict(header.metadata)
    tokens = header.array_lengths.get("tokenizer.ggml.tokens")
    if tokens:
        metadata.setdefault(f"{metadata.get('general.architecture')}.vocab_size", tokens)
    return model_from_metadata(
        metadata,
        name=name,
        tensors=header.tensors,
        file_bytes=header.file_bytes,
        file_quantization=_quantization(header),
    )


def _quantization(header: GgufHeader) -> str | None:
    """The recipe the header names; else the type that most bytes have."""
    stated = header.metadata.get("general.file_type")
    recipe = recipe_by_file_type(stated) if isinstance(stated, int) and not isinstance(stated, bool) else None
    if recipe is not None:
        return recipe.name
    return _commonest(header.tensors)


def _commonest(tensors: tuple[StoredTensor, ...]) -> str | None:
    sizes: dict[str, int] = {}
    for tensor in tensors:
        sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.size_bytes
    return max(sizes, key=lambda kind: sizes[kind]) if sizes else None


def checkpoint_spec(
    config: Mapping[str, Any] | None, stored: SafetensorsHeader | None, *, name: str, origin: str
) -> ModelSpec:
    """The model of a config.json and its checkpoint; either may be missing, not both.

    Raises:
        InputError: figures in the config that no model has.
    """
    spec = (
        as_llama_cpp_converts(spec_from_config(config, model_id=name, origin=origin))
        if config is not None
        else ModelSpec(id=name, name=name, origin=origin)
    )
    if stored is None:
        return spec
    kind = _commonest(stored.tensors)
    quantization = spec.native_quantization or _PLAIN.get(kind or "", kind)
    plain = spec.native_quantization is None and kind in _PLAIN
    total = sum(_weights(tensor) for tensor in stored.tensors) if plain else None
    other = sum(_weights(tensor) for tensor in stored.tensors if is_tower(tensor.name)) if plain else None
    return msgspec.structs.replace(
        spec,
        params_total=total,
        params_other=other or None,
        file_quantization=quantization,
        stored_tensors=stored.tensors,
        file_bytes=stored.file_bytes,
    )


def is_tower(name: str) -> bool:
    """Whether a checkpoint's tensor belongs to a vision or audio tower."""
    short = name.removeprefix("model.").removeprefix("language_model.")
    return short.startswith(_TOWERS)


def _weights(tensor: StoredTensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count
