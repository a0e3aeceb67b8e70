"""Which known GGUF repository holds a model in a quantization."""

from probe.catalog.model_spec import ModelSpec
from probe.catalog.ranking import ranking_weights

Q4_0 = "Q4_0"
MXFP4 = "MXFP4_MOE"


def gguf_repository(spec: ModelSpec, quantization: str) -> str | None:
    """The repository to name for this file, None where none is known.

    Known publishers come before others, and for Q4_0 only those that publish it.
    """
    files = ranking_weights().files
    order = {Q4_0: files.q4_0_publishers, MXFP4: files.mxfp4_publishers}.get(quantization, files.publishers)
    by_publisher = {
        repository.split("/", 1)[0]: repository for repository in reversed(spec.gguf_repositories)
    }
    for publisher in order:
        if publisher in by_publisher:
            return by_publisher[publisher]
    if quantization == Q4_0 or not spec.gguf_repositories:
        return None
    return spec.gguf_repositories[0]


def file_tag(quantization: str) -> str:
    """What stands behind the repository to choose a file: `:Q4_K_M`; nothing where there is one file only.

    Models published in MXFP4 have it as the one GGUF of their repository.
    """
    return "" if quantization == MXFP4 else f":{quantization}"
