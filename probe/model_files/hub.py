"""Models on the Hugging Face hub: lists, config.json and the headers of weight files, never the weights.

huggingface_hub (extra `online`) knows the endpoint (HF_ENDPOINT), tokens and proxies;
headers are fetched by range requests.
"""

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError
from probe.model_files.gguf import GgufHeader, HeaderIncompleteError, parse_gguf
from probe.model_files.gguf_split import join_parts, part_names, part_number
from probe.model_files.open_model import checkpoint_spec, gguf_spec, parse_config
from probe.model_files.safetensors import (
    INDEX_NAME,
    MAX_INDEX_BYTES,
    SafetensorsHeader,
    header_length,
    parse_header,
    shard_names,
)

_MAX_CONFIG_BYTES: Final = 4 * 2**20
_FIRST_BYTES: Final = 256 * 2**10  # holds the header of 97 of 100 shards
_FIRST_GGUF_BYTES: Final = 2**20
_MAX_GGUF_HEADER: Final = 64 * 2**20
_TIMEOUT_S: Final = 20.0
_WORKERS: Final = 8
_USUAL_RECIPE: Final = "Q4_K_M"  # what llama.cpp's -hf takes when no other is asked for
_T = TypeVar("_T")


def open_repository(name: str) -> ModelSpec:
    """The model in a repository `org/name`, `org/name:Q4_K_M` or `org/name/file.gguf`.

    Raises:
        InputError: huggingface_hub is not installed, no such repository or file, no
            access, no network, or files that contradict themselves.
    """
    repository, wanted = _split(name)
    hub = _Hub(repository)
    sizes = hub.sizes
    if wanted is None and "config.json" in sizes and any(key.endswith(".safetensors") for key in sizes):
        config = parse_config(hub.whole("config.json", _MAX_CONFIG_BYTES), "config.json")
        return checkpoint_spec(config, _checkpoint(hub), name=repository, origin="online")
    file = _pick_gguf(sizes, wanted)
    if file is not None:
        header = _gguf(hub, file)
        return gguf_spec(header, name=f"{repository}/{file}")
    if wanted is None and "config.json" in sizes:
        config = parse_config(hub.whole("config.json", _MAX_CONFIG_BYTES), "config.json")
        return checkpoint_spec(config, None, name=repository, origin="online")
    raise InputError("model_files.hub_no_model", model=name)


def _split(name: str) -> tuple[str, str | None]:
    """Repository, and the file or quantization asked for."""
    repository, _, recipe = name.partition(":")
    parts = repository.split("/")
    if len(parts) < 2 or not all(parts) or any(part in (".", "..") for part in parts):
        raise InputError("model_files.hub_name", model=name)
    if len(parts) > 2:
        return "/".join(parts[:2]), "/".join(parts[2:])
    return repository, recipe or None


def _pick_gguf(sizes: dict[str, int], wanted: str | None) -> str | None:
    files = sorted(key for key in sizes if key.lower().endswith(".gguf") and "mmproj" not in key.lower())
    if wanted is not None and wanted in files:
        return wanted
    firsts = [key for key in files if part_number(key.rsplit("/", 1)[-1]) in (None, 1)]
    for recipe in (wanted,) if wanted is not None else (_USUAL_RECIPE,):
        for file in firsts:
            if recipe.lower() in file.lower():
                return file
    return firsts[0] if firsts and wanted is None else None


def _checkpoint(hub: "_Hub") -> SafetensorsHeader:
    if INDEX_NAME in hub.sizes:
        names = shard_names(hub.whole(INDEX_NAME, MAX_INDEX_BYTES), INDEX_NAME)
    elif "model.safetensors" in hub.sizes:
        names = ("model.safetensors",)
    else:
        names = tuple(sorted(key for key in hub.sizes if key.endswith(".safetensors") and "/" not in key))
    missing = [name for name in names if name not in hub.sizes]
    if missing:
        raise InputError("model_files.shard_missing", path=missing[0])
    with ThreadPoolExecutor(_WORKERS) as pool:
        headers = list(pool.map(lambda name: _safetensors(hub, name), names))
    return SafetensorsHeader(
        path=hub.repository,
        tensors=tuple(tensor for header in headers for tensor in header.tensors),
        file_bytes=sum(header.file_bytes for header in headers),
        shards=len(headers),
    )


def _safetensors(hub: "_Hub", name: str) -> SafetensorsHeader:
    size = hub.sizes[name]
    text = hub.beginning(name, min(_FIRST_BYTES, size))
    length = header_length(text[:8], size, name)
    if len(text) < 8 + length:
        text = hub.beginning(name, 8 + length)
    tensors = parse_header(text[8 : 8 + length], name, data_bytes=size - 8 - length)
    return SafetensorsHeader(path=name, tensors=tensors, file_bytes=size)


def _gguf(hub: "_Hub", file: str) -> GgufHeader:
    first = _gguf_part(hub, file)
    count = first.metadata.get("split.count")
    if not isinstance(count, int) or isinstance(count, bool) or count <= 1:
        return first
    folder, slash, name = file.rpartition("/")
    names = [f"{folder}{slash}{part}" for part in part_names(name, count)]
    missing = [part for part in names if part not in hub.sizes]
    if missing:
        raise InputError("model_files.split_missing", path=missing[0], missing=len(missing), count=count)
    from pathlib import Path

    return join_parts([_gguf_part(hub, part) for part in names], Path(file))


def _gguf_part(hub: "_Hub", name: str) -> GgufHeader:
    size = hub.sizes[name]
    wanted = _FIRST_GGUF_BYTES
    while True:
        try:
            return parse_gguf(hub.beginning(name, min(wanted, size)), file_bytes=size, name=name)
        except HeaderIncompleteError as more:
            if more.needed > min(_MAX_GGUF_HEADER, size) or wanted >= _MAX_GGUF_HEADER:
                limit = _MAX_GGUF_HEADER
                raise InputError(
                    "model_files.header_too_long", path=name, length=more.needed, limit=limit
                ) from more
            wanted = min(max(more.needed, 4 * wanted), _MAX_GGUF_HEADER)


def _library(name: str) -> Any:
    """A module of huggingface_hub, untyped: its versions differ, and it may not be installed."""
    return importlib.import_module(name)


class _Hub:
    """One repository: its files' sizes, and the beginnings of its files."""

    def __init__(self, repository: str) -> None:
        try:
            self._library = _library("huggingface_hub")
        except ImportError as error:
            raise InputError("model_files.hub_not_installed") from error
        self.repository = repository
        info = self._ask(
            lambda: self._library.HfApi().model_info(repository, files_metadata=True, timeout=_TIMEOUT_S)
        )
        self.sizes = {
            file.rfilename: file.size
            for file in info.siblings or ()
            if isinstance(file.size, int) and file.size >= 0
        }

    def whole(self, name: str, limit: int) -> bytes:
        """A small file."""
        if self.sizes[name] > limit:
            raise InputError("model_files.header_too_long", path=name, length=self.sizes[name], limit=limit)
        return self.beginning(name, self.sizes[name])

    def beginning(self, name: str, count: int) -> bytes:
        """The first `count` bytes of a file, even when the server ignores ranges."""
        if count <= 0:
            return b""
        found = self._ask(lambda: self._fetch(name, count))
        if len(found) < count:
            raise InputError("model_files.hub_short_answer", path=name, model=self.repository)
        return found

    def _fetch(self, name: str, count: int) -> bytes:
        url = self._library.hf_hub_url(self.repository, name)
        headers = {
            **_library("huggingface_hub.utils").build_hf_headers(),
            "range": f"bytes=0-{count - 1}",
            "accept-encoding": "identity",
        }
        received = bytearray()
        with _streamed(url, headers) as chunks:
            for chunk in chunks:
                received += chunk
                if len(received) >= count:
                    break
        return bytes(received[:count])

    def _ask(self, request: Callable[[], _T]) -> _T:
        """Runs a request; the library's many exceptions become one error with its cause's name."""
        errors = _library("huggingface_hub.errors")
        try:
            return request()
        except InputError:
            raise
        except errors.GatedRepoError as error:
            raise InputError("model_files.hub_gated", model=self.repository) from error
        except errors.RepositoryNotFoundError as error:
            raise InputError("model_files.hub_not_found", model=self.repository) from error
        except (errors.HfHubHTTPError, OSError, ValueError, *_transport_errors()) as error:
            detail = type(error).__name__
            raise InputError("model_files.hub_failed", model=self.repository, detail=detail) from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the library's HTTP client raises when nobody answers; that of requests is an OSError."""
    client = getattr(_library("huggingface_hub.utils"), "httpx", None)
    return () if client is None else (client.HTTPError,)


@contextmanager
def _streamed(url: str, headers: dict[str, str]) -> Iterator[Iterator[bytes]]:
    """The body of a GET in chunks; huggingface_hub below 1.0 is built on requests, later on httpx."""
    utils = _library("huggingface_hub.utils")
    stream = getattr(utils, "http_stream_backoff", None)
    if stream is not None:
        with stream("GET", url, headers=headers, timeout=_TIMEOUT_S, max_retries=1) as response:
            utils.hf_raise_for_status(response)
            yield response.iter_bytes()
        return
    response = utils.get_session().get(url, headers=headers, timeout=_TIMEOUT_S, stream=True)
    try:
        utils.hf_raise_for_status(response)
        yield response.iter_content(chunk_size=65_536)
    finally:
        response.close()
