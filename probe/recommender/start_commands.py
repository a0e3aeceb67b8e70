"""The command with which each engine or front end gets and starts exactly this file."""

from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.catalog.repositories import MXFP4, file_tag, gguf_repository
from probe.recommender.answer import Estimate

_LOADS_GGUF: Final = ("llama.cpp", "ollama", "lmstudio")
# What an Ollama tag without a suffix holds in today's library.
_TAGGED: Final = frozenset({"Q4_K_M", MXFP4})


def start_commands(spec: ModelSpec, answer: Estimate) -> dict[str, str]:
    """Commands by engine (`llama.cpp`, `ollama`, `lmstudio`); engines without a known file are left out.

    Ollama and LM Studio take their own default context; only llama.cpp's command sets
    what was computed.

    Source: huggingface/hub-docs docs/hub/ollama.md at 00375367 (`hf.co/{repository}:{quantization}`),
        docs/hub/lmstudio.md at 8806f47d (`lms get https://huggingface.co/{repository}@{quantization}`).
    """
    found: dict[str, str] = {}
    if not answer.fits:
        return found
    if answer.command is not None:
        found[answer.engine] = answer.command
    if answer.engine not in _LOADS_GGUF:
        return found
    if spec.origin != "catalog":
        return found
    tag = file_tag(answer.quantization)
    repository = gguf_repository(spec, answer.quantization)
    if spec.ollama_tags and answer.quantization in _TAGGED:
        found["ollama"] = f"ollama run {spec.ollama_tags[0]}"
    elif repository is not None:
        found["ollama"] = f"ollama run hf.co/{repository}{tag}"
    if repository is not None:
        found["lmstudio"] = f"lms get https://huggingface.co/{repository}{tag.replace(':', '@')}"
    return found
