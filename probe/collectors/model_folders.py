"""Models in the folders of engines, by name: nothing is opened."""

import re
from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.host import Host

_MOST_MODELS: Final = 200
_MOST_FOLDERS: Final = 200
_SPLIT: Final = r"-0*(\d+)-of-\d+\.gguf$"


def gguf_files(host: Host, folder: str | None) -> tuple[str, ...]:
    """GGUF files in one folder; of a split one its first part."""
    names = host.list_directory(folder) if folder else ()
    found = []
    for name in () if isinstance(names, Failure) else names:
        part = re.search(_SPLIT, name)
        if name.endswith(".gguf") and (part is None or part[1] == "1"):
            found.append(name)
    return tuple(found[:_MOST_MODELS])


def hub_models(host: Host, folder: str) -> tuple[str, ...]:
    """`org/name` of the folders `models--org--name` in a Hugging Face cache."""
    names = host.list_directory(folder)
    found = [
        name.removeprefix("models--").replace("--", "/", 1)
        for name in (() if isinstance(names, Failure) else names)
        if name.startswith("models--")
    ]
    return tuple(found[:_MOST_MODELS])


def ollama_models(host: Host, folder: str) -> tuple[str, ...]:
    """`qwen3:4b` of manifests/registry.ollama.ai/library/qwen3/4b; other registries with their name."""
    join = "\\" if "\\" in folder else "/"
    asked = 0
    found: list[str] = []

    def below(path: str) -> tuple[str, ...]:
        nonlocal asked
        asked += 1
        names = host.list_directory(path) if asked <= _MOST_FOLDERS else ()
        return () if isinstance(names, Failure) else tuple(name for name in names if not name.startswith("."))

    root = f"{folder}{join}manifests"
    for registry in below(root):
        for owner in below(f"{root}{join}{registry}"):
            for model in below(f"{root}{join}{registry}{join}{owner}"):
                usual = registry == "registry.ollama.ai"
                prefix = f"{owner}/" if usual else f"{registry}/{owner}/"
                if usual and owner == "library":
                    prefix = ""
                tags = below(f"{root}{join}{registry}{join}{owner}{join}{model}")
                found += [f"{prefix}{model}:{tag}" for tag in tags]
    return tuple(found[:_MOST_MODELS])


def two_levels(host: Host, folder: str, join: str) -> tuple[str, ...]:
    """`publisher/repository` of LM Studio's model folder."""
    owners = host.list_directory(folder)
    found: list[str] = []
    for owner in (() if isinstance(owners, Failure) else owners)[:_MOST_FOLDERS]:
        names = host.list_directory(f"{folder}{join}{owner}")
        shown = () if isinstance(names, Failure) else names
        found += [f"{owner}/{name}" for name in shown if not name.startswith(".")]
    return tuple(found[:_MOST_MODELS])
