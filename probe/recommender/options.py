"""What the user asked: the options that change an answer."""

import msgspec

from probe.catalog.model_spec import ModelSpec

PURPOSES = ("general", "korean", "coding", "reasoning", "vision", "embedding", "documents")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `probe`, `probe check` and `probe plan`, units in the names; None = not asked."""

    context: int = 8192
    parallel: int = 1
    context_asked: bool = True  # False: the default; a front end asked for with --engine then takes its own
    parallel_asked: bool = True
    purposes: tuple[str, ...] = ()
    engine: str | None = None
    quantization: str | None = None
    kv_type: str | None = None
    ubatch: int | None = None
    flash_attention: bool | None = None
    kv_unified: bool = False
    draft_model: str | None = None  # a model, auto, or mtp
    draft_spec: ModelSpec | None = None  # its row where a model is named
    reserve_bytes: int = 0
    with_model: str | None = None  # a model loaded at the same time
    with_spec: ModelSpec | None = None  # its row where it is a file the user named
    languages: tuple[str, ...] = ()  # that a recommended model must know
    commercial_use: bool = False  # recommend only what the licence allows at work
    explain: bool = False
    alias: str | None = None
    show_host_name: bool = True
    api_url: str | None = None
