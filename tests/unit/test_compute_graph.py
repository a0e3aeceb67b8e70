"""ggml's allocator in small, and the shortened graphs against the whole ones."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from probe.catalog.buffer_table import STORED_CONTEXTS
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.engines.llama_cpp import hparams_of, lay_out
from probe.engines.request import LayerSplit, Request
from probe.estimate.compute_buffer import batch_of, compute_buffer_bytes
from probe.estimate.compute_graph import build_graph
from probe.estimate.compute_graph.allocator import Buffer, peak_bytes
from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.ggml import Graph
from probe.estimate.compute_graph.repetition import representative_layers
from probe.estimate.compute_graph.shapes import shapes_of
from probe.estimate.kv_cache import cache_cells
from probe.estimate.weights import gguf_weights

ROOT = Path(__file__).resolve().parents[2]
CATALOG = {model.id: model for model in all_models()}
_STORED = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3.5-35B-A3B",
    "google/gemma-4-E2B-it",
    "google/gemma-3n-E2B-it",
    "deepseek-ai/DeepSeek-V2-Lite-Chat",
    "deepseek-ai/DeepSeek-V4-Flash",
    "openai/gpt-oss-20b",
    "tiiuae/Falcon-H1-0.5B-Instruct",
    "LiquidAI/LFM2-8B-A1B",
    "BAAI/bge-m3",
)


def test_the_smallest_free_block_that_fits_is_taken() -> None:
    buffer = Buffer(32)
    blocks = [buffer.allocate(size) for size in (320, 32, 96, 32, 640)]
    buffer.release(blocks[0], 320)
    buffer.release(blocks[2], 96)
    assert buffer.allocate(64) == blocks[2]
    assert buffer.allocate(160) == blocks[0]
    assert buffer.peak == 320 + 32 + 96 + 32 + 640


def test_neighbouring_free_blocks_become_one() -> None:
    buffer = Buffer(32)
    first, second, third, _ = (buffer.allocate(64) for _ in range(4))
    buffer.release(first, 64)
    buffer.release(third, 64)
    buffer.release(second, 64)
    assert buffer.allocate(192) == 0
    assert buffer.peak == 256


def test_sizes_are_rounded_up_to_the_alignment() -> None:
    buffer = Buffer(128)
    buffer.allocate(1)
    assert buffer.allocate(1) == 128


def test_an_operand_nobody_else_reads_is_overwritten() -> None:
    graph = Graph()
    source = graph.input(1024)
    product = graph.new((1024,), source)
    graph.expand(graph.over(product))
    assert peak_bytes(graph.leafs, graph.nodes) == 2 * 4096


def test_an_operand_that_is_read_again_is_kept() -> None:
    graph = Graph()
    source = graph.input(1024)
    product = graph.new((1024,), source)
    graph.expand(graph.new((1024,), graph.over(product), product))
    assert peak_bytes(graph.leafs, graph.nodes) == 3 * 4096


def test_an_output_is_never_freed() -> None:
    graph = Graph()
    kept = graph.new((1024,), graph.input(8))
    kept.output = True
    graph.expand(graph.new((1024,), graph.new((1024,), kept)))
    assert peak_bytes(graph.leafs, graph.nodes) >= 3 * 4096


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        ("a", (0,)),
        ("aaaaaaaa", (0, 1, 2, 7)),
        ("aaaaaaa", (0, 1, 6)),
        ("abababababb", (0, 1, 2, 3, 4, 5, 10)),
    ],
)
def test_runs_are_stood_for_by_their_first_layers(layers: str, kept: tuple[int, ...]) -> None:
    assert representative_layers(tuple(layers)) == kept


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-3.1-8B-Instruct",
        "google/gemma-3-27b-it",
        "Qwen/Qwen3-Next-80B-A3B-Instruct",
        "zai-org/GLM-5.2",
        "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
    ],
)
@pytest.mark.parametrize("flash", [True, False])
def test_the_short_graph_needs_what_the_whole_one_needs(name: str, flash: bool) -> None:
    spec = CATALOG[name]
    h, shapes = hparams_of(spec), shapes_of(spec)
    cells = cache_cells(h, context=12288, parallel=2, ubatch=256, unified=False)
    batch = batch_of(cells, ubatch=256, flash_attention=flash)
    whole = build_graph(Builder(h, batch, shapes.outside, shapes.layers))
    assert compute_buffer_bytes(spec, h, batch) == peak_bytes(whole.leafs, whole.nodes)


@pytest.mark.parametrize("flash", [True, False])
def test_longer_contexts_and_larger_batches_need_no_less(flash: bool) -> None:
    spec = CATALOG["Qwen/Qwen3-30B-A3B"]
    h = hparams_of(spec)

    def size(context: int, ubatch: int) -> int:
        cells = cache_cells(h, context=context, parallel=1, ubatch=ubatch, unified=False)
        return compute_buffer_bytes(spec, h, batch_of(cells, ubatch=ubatch, flash_attention=flash))

    by_context = [size(context, 512) for context in (1024, 4096, 16384, 65536)]
    by_batch = [size(16384, ubatch) for ubatch in (128, 512, 2048)]
    assert by_context == sorted(by_context)
    assert by_batch == sorted(by_batch)


def test_choosing_experts_by_groups_costs_no_memory() -> None:
    """DeepSeek-V3's own config has 8 groups of which 4 are used: the masks fit where logits go later."""
    spec = CATALOG["deepseek-ai/DeepSeek-V3-0324"]
    assert spec.dimensions is not None
    extra = {**spec.dimensions.extra, "n_group": 8, "topk_group": 4}
    grouped = msgspec.structs.replace(spec, dimensions=msgspec.structs.replace(spec.dimensions, extra=extra))

    def graph_of(one: ModelSpec) -> tuple[int, int]:
        h, shapes = hparams_of(one), shapes_of(one)
        cells = cache_cells(h, context=8192, parallel=1, ubatch=512, unified=False)
        whole = build_graph(
            Builder(h, batch_of(cells, ubatch=512, flash_attention=True), shapes.outside, shapes.layers)
        )
        return len(whole.nodes), peak_bytes(whole.leafs, whole.nodes)

    (nodes, size), (more_nodes, same_size) = graph_of(spec), graph_of(grouped)
    assert more_nodes > nodes
    assert same_size == size


def test_keeping_the_logits_of_one_token_saves_the_others() -> None:
    spec = CATALOG["Qwen/Qwen3-8B"]
    h = hparams_of(spec)
    cells = cache_cells(h, context=8192, parallel=1, ubatch=512, unified=False)
    every = compute_buffer_bytes(spec, h, batch_of(cells, ubatch=512, flash_attention=True))
    one = compute_buffer_bytes(spec, h, batch_of(cells, ubatch=512, flash_attention=True, outputs=1))
    assert every - one > 150 * 2**20
    assert one < 511 * 4 * h.vocabulary


def test_the_stored_table_is_regenerated_not_edited() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/build_buffers.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("context", STORED_CONTEXTS)
@pytest.mark.parametrize(
    "split",
    [
        LayerSplit(),
        LayerSplit(gpu_layers=99, shares=(("gpu0", 1.0),)),
        LayerSplit(gpu_layers=99, shares=(("gpu0", 0.5), ("gpu1", 0.5))),
        LayerSplit(gpu_layers=10, shares=(("gpu0", 1.0),)),
        LayerSplit(gpu_layers=99, shares=(("gpu0", 1.0),), cpu_expert_layers=5),
    ],
    ids=["cpu", "gpu", "two-gpus", "part", "experts"],
)
def test_stored_and_computed_figures_are_equal(context: int, split: LayerSplit) -> None:
    """Dense, latent, windowed, hybrid and with prediction layers: the table changes no figure."""
    for name in _STORED:
        spec = CATALOG[name]
        weights = gguf_weights(spec, "Q4_K_M")
        # The same model as a user's own is never looked up.
        own = msgspec.structs.replace(spec, origin="own")
        asked = Request(context=context)
        backend = "cuda" if split.shares else "cpu"
        stored = lay_out(spec, weights, asked, split, backend=backend)
        assert stored == lay_out(own, weights, asked, split, backend=backend), name


def test_what_the_table_does_not_hold_is_computed() -> None:
    spec = CATALOG["Qwen/Qwen3-8B"]
    weights = gguf_weights(spec, "Q4_K_M")
    totals = [
        lay_out(spec, weights, asked, LayerSplit(), backend="cpu").total_bytes
        for asked in (Request(), Request(context=8448), Request(kv_type_k="q8_0", kv_type_v="q8_0"))
    ]
    usual, longer, smaller = (total or 0 for total in totals)
    assert longer > usual > smaller > 0


def test_each_layer_of_minimax_m3_on_a_gpu_has_copies_of_its_own() -> None:
    """Its views of what lies on the host are copied one by one; llama.cpp b11434 with simulated GPUs.

    A conversation as long as the context, 8,192 tokens: one GPU, then two with half the layers each.
    """
    spec = CATALOG["MiniMaxAI/MiniMax-M3"]
    weights = gguf_weights(spec, "F16")
    found = []
    for shares in ((("gpu0", 1.0),), (("gpu0", 0.5), ("gpu1", 0.5))):
        split = LayerSplit(gpu_layers=61, shares=shares)
        devices = lay_out(spec, weights, Request(context=8192), split, backend="cuda").per_device
        found.append([device.compute_bytes for device in devices if device.device != "cpu"])
    assert found == [[1194020864], [2338136064, 4514447360]]
