"""What each engine needs and can load, by version; a new version is a new row, not new code.

Rows of `releases` stand for themselves and all later versions until the next row.
"""

from functools import cache
from typing import Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.versions import version_key
from probe.errors import CatalogError, UnknownNameError

_FOLDER: Final = "catalogs/engines"


class ContextDefault(msgspec.Struct, frozen=True, kw_only=True):
    """Context a front end takes by itself; `below_gib` None = everything above."""

    tokens: int
    below_gib: float | None = None


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One engine or front end.

    `os` and `formats` hold `yes`, `no`, `plugin`, `convert`, `limited`, `partial`,
    `dequantized` or `unknown`; an operating system or format that is not listed is unknown.
    """

    id: str
    name: str
    role: str  # server, desktop, library, plugin
    os: dict[str, str]  # linux, wsl2, windows, macos
    formats: dict[str, str] = {}
    os_notes: dict[str, str] = {}
    format_notes: dict[str, str] = {}
    backends: tuple[str, ...] = ()
    backend_notes: dict[str, str] = {}
    multi_gpu: tuple[str, ...] = ()  # layer, tensor, pipeline, data, expert, distributed
    multi_gpu_notes: dict[str, str] = {}
    default_port: int | None = None
    openai_api: bool = False
    newest: str | None = None  # version that was read
    built_on: str | None = None
    required_isa: tuple[str, ...] = ()
    cpu_isa: str | None = None
    default_context: tuple[ContextDefault, ...] = ()
    environment: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    key_pins: dict[str, str] = {}
    hardware: str | None = None
    detect: str | None = None
    python: str | None = None
    needs: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    verified: str | None = None
    source: tuple[str, ...]
    retrieved: str


class EngineRelease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one version of an engine needs; None = not known, or nothing."""

    engine: str
    version: str
    torch: str | None = None
    cuda: str | None = None  # of the default package: "13.0"; "13" where only the major was read
    python: str | None = None
    glibc_min: str | None = None
    min_cc: str | None = None
    min_cc_aarch64: str | None = None
    min_driver_linux: str | None = None
    sass_x86_64: tuple[str, ...] = ()
    sass_aarch64: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    gpu_memory_utilization_default: float | None = None
    wheel_mb: float | None = None
    unpacked_mb: float | None = None
    note: str | None = None
    verified: str | None = None
    source: tuple[str, ...]
    retrieved: str


class EngineBuild(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of several official builds of an engine: which GPU and driver it is for."""

    engine: str
    id: str
    os: tuple[str, ...]
    backend: str
    cuda: str | None = None
    windows_cuda: str | None = None
    min_cc: str | None = None
    max_driver_branch_for_old: str | None = None  # for GPUs that newer drivers dropped
    min_driver_linux: str | None = None
    min_driver_linux_old_gpus: str | None = None
    full_driver_linux: str | None = None
    min_driver_windows: str | None = None
    full_driver_windows: str | None = None
    archs: tuple[str, ...] = ()
    gfx_targets: tuple[str, ...] = ()
    python: str | None = None
    glibc_min: str | None = None
    install: str | None = None  # what stands after `pip install`, for packages
    note: str | None = None
    source: tuple[str, ...]
    retrieved: str


class _EngineFile(msgspec.Struct, frozen=True):
    engines: tuple[EngineSpec, ...]
    releases: tuple[EngineRelease, ...]
    builds: tuple[EngineBuild, ...]


@cache
def _file() -> _EngineFile:
    name = f"{_FOLDER}/engines.json"
    try:
        return msgspec.json.decode(read_data(name), type=_EngineFile)
    except msgspec.MsgspecError as error:
        raise CatalogError("input.catalog_damaged", path=name, detail=str(error)) from error


def all_engines() -> tuple[EngineSpec, ...]:
    """Every engine and front end of the catalog."""
    return _file().engines


def all_releases() -> tuple[EngineRelease, ...]:
    """Every release row, oldest first within an engine."""
    return _file().releases


def find_engine(name: str) -> EngineSpec:
    """The engine a person names: `vllm`, `LM Studio`, `llama-cpp`.

    Raises:
        UnknownNameError: no such engine; the nearest names are suggested, or all.
    """
    wanted = _plain(name)
    for row in all_engines():
        if wanted in (_plain(row.id), _plain(row.name)):
            return row
    aliases = {"llamacpp": "llama.cpp", "llamaserver": "llama.cpp", "mlx": "mlx-lm", "trtllm": "tensorrt-llm"}
    if wanted in aliases:
        return find_engine(aliases[wanted])
    import difflib

    known = tuple(row.id for row in all_engines())
    near = tuple(difflib.get_close_matches(name.strip().lower(), known, n=2))
    key = "input.engine_unknown_near" if near else "input.engine_unknown"
    raise UnknownNameError(key, name, near or known, known=", ".join(known))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def release_of(engine: str, version: str | None = None) -> EngineRelease | None:
    """The row that holds for `version`, or the newest one; None before the first row."""
    rows = [row for row in all_releases() if row.engine == engine]
    rows.sort(key=lambda row: version_key(row.version))
    if version is None:
        return rows[-1] if rows else None
    wanted = version_key(version)
    older = [row for row in rows if version_key(row.version) <= wanted]
    return older[-1] if older else None


def builds_of(engine: str, backend: str | None = None) -> tuple[EngineBuild, ...]:
    """The official builds of an engine, for one backend or all."""
    return tuple(row for row in _file().builds if row.engine == engine and backend in (None, row.backend))
