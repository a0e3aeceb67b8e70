"""What the user asked: the options that change an answer."""

import msgspec

PURPOSES = ("general", "korean", "coding", "reasoning", "vision", "embedding", "documents")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `probe`, `probe check` and `probe plan`, units in the names; None = not asked."""

    context: int = 8192
    parallel: int = 1
    purposes: tuple[str, ...] = ()
    engine: str | None = None
    quantization: str | None = None
    kv_type: str | None = None
    ubatch: int | None = None
    flash_attention: bool | None = None
    kv_unified: bool = False
    draft_model: str | None = None
    reserve_bytes: int = 0
    with_model: str | None = None
    explain: bool = False
    alias: str | None = None
    show_host_name: bool = True
    api_url: str | None = None
