"""Installed engines and runtimes, and running servers on loopback."""

import msgspec


class InstalledEngine(msgspec.Struct, frozen=True, kw_only=True):
    """An engine found on the machine. `id` is the row of catalogs/engines."""

    id: str
    version: str | None = None
    path: str | None = None  # program name or place, redacted
    running: bool | None = None
    address: str | None = None  # loopback address of a running server
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] | None = None  # llama.cpp: ggml libraries beside it, cpu cuda vulkan ...


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A runtime library: vulkan, rocm, metal, openvino, oneapi, cuda_toolkit."""

    id: str
    version: str | None = None


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed that bears on running LLMs."""

    engines: tuple[InstalledEngine, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    cuda_toolkit_version: str | None = None
    python_versions: tuple[str, ...] = ()
    environment: dict[str, str] = {}  # masks and caches that matter: CUDA_VISIBLE_DEVICES ...
