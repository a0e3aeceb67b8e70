"""Which published checkpoint a command names for a weight format."""

from typing import Final

from probe.catalog.model_spec import ModelSpec

_REPOSITORIES: Final = {
    "awq": "awq_repositories",
    "gptq-int4": "gptq_repositories",
    "fp8": "fp8_repositories",
}


def checkpoint_argument(spec: ModelSpec, quantization: str) -> tuple[str, bool]:
    """A path or repository, and whether it already holds the format (False: quantize while loading)."""
    own = spec.path or spec.id
    if quantization in {spec.native_quantization, spec.file_quantization, "bf16", "fp16"}:
        return own, True
    published = getattr(spec, _REPOSITORIES.get(quantization, ""), ())
    return (published[0], True) if published else (own, False)
