"""Front ends on llama.cpp: what they take by themselves, and what they are told."""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.engines import lmstudio, ollama
from probe.engines.ollama import OllamaGpu
from probe.engines.request import Request
from probe.machine import OsFamily
from probe.recommender.answer import Estimate, PlacementKind, Split
from probe.recommender.estimators import answer_of
from probe.recommender.options import Options
from probe.units import GIB

OFFICE_PC = "Core i5-8500; 16GB DDR4-2666 x2; windows 11"
GAMING_PC = "RTX 3060 12GB; 32GB DDR4-3200 x2; windows 11"
OLD_SERVER = "2x Tesla P100 12GB; 64GB DDR4-2133 x4; linux"


def answer(engine: str, model: str, machine: str, **asked: object) -> Estimate:
    options = Options(
        engine=engine, **{"context_asked": "context" in asked, "parallel_asked": False, **asked}
    )  # type: ignore[arg-type]  # any option by its name
    return answer_of(enrich(from_spec(machine)), find_model(model), options)


def codes(estimate: Estimate) -> set[str]:
    return {reason.code for reason in estimate.reasons}


# -- Ollama: its own defaults --------------------------------------------------------


@pytest.mark.parametrize(
    ("gpu_bytes", "tokens"),
    [
        (0, 4096),
        (8 * GIB, 4096),
        (24564 * 2**20, 32768),  # an RTX 4090 has less than 24 GiB: Ollama's limit is 23
        (24 * GIB, 32768),
        (46 * GIB, 32768),
        (49140 * 2**20, 262144),  # an RTX A6000 by NVML
        (192 * GIB, 262144),
    ],
)
def test_ollama_takes_its_context_from_the_gpu_memory(gpu_bytes: int, tokens: int) -> None:
    assert ollama.default_context(gpu_bytes) == tokens


@pytest.mark.parametrize(
    ("machine", "context", "code"),
    [
        (OFFICE_PC, 4096, "desktop.ollama.default_context_cpu"),
        (GAMING_PC, 4096, "desktop.ollama.default_context"),
        (OLD_SERVER, 32768, "desktop.ollama.default_context"),
        ("RTX A6000; 64GB DDR4-3200 x4; linux", 40960, "desktop.ollama.default_context"),  # trained
    ],
)
def test_ollama_without_a_context_gets_its_own_and_says_so(machine: str, context: int, code: str) -> None:
    estimate = answer("ollama", "qwen3-8b", machine)
    assert (estimate.context, code in codes(estimate)) == (context, True)


def test_a_context_above_ollamas_own_is_set_and_the_silent_cut_is_told() -> None:
    estimate = answer("ollama", "llama-3.1-8b", GAMING_PC, context=16384)
    assert estimate.context == 16384
    assert {"desktop.ollama.context_set", "desktop.ollama.restart_windows"} <= codes(estimate)
    assert estimate.command == "setx OLLAMA_CONTEXT_LENGTH 16384\nollama run llama3.1:8b"


def test_what_ollama_does_by_itself_needs_no_setting() -> None:
    assert answer("ollama", "llama-3.1-8b", GAMING_PC).command == "ollama run llama3.1:8b"


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        (OsFamily.LINUX, ("OLLAMA_CONTEXT_LENGTH=8192 ollama serve", "ollama run qwen3:8b")),
        (OsFamily.WINDOWS, ("setx OLLAMA_CONTEXT_LENGTH 8192", "ollama run qwen3:8b")),
        (OsFamily.MACOS, ("launchctl setenv OLLAMA_CONTEXT_LENGTH 8192", "ollama run qwen3:8b")),
    ],
)
def test_each_system_sets_a_variable_in_its_own_way(system: OsFamily, lines: tuple[str, ...]) -> None:
    assert ollama.commands("qwen3:8b", (("OLLAMA_CONTEXT_LENGTH", "8192"),), system) == lines


def test_ollamas_server_is_told_everything_that_was_asked() -> None:
    request = Request(context=16384, parallel=2, kv_type_k="q8_0", kv_type_v="q8_0", flash_attention=True)
    wanted = ollama.settings(request, Request(context=4096))
    assert wanted == (
        ("OLLAMA_CONTEXT_LENGTH", "16384"),
        ("OLLAMA_NUM_PARALLEL", "2"),
        ("OLLAMA_FLASH_ATTENTION", "1"),
        ("OLLAMA_KV_CACHE_TYPE", "q8_0"),
    )
    assert ollama.run_command("bartowski/X-GGUF:Q4_K_M") == "ollama run hf.co/bartowski/X-GGUF:Q4_K_M"


@pytest.mark.parametrize(
    ("system", "path", "lines"),
    [
        (
            OsFamily.LINUX,
            "models/My Model.gguf",
            ('echo "FROM models/My Model.gguf" > Modelfile', 'echo "PARAMETER num_ctx 8192" >> Modelfile'),
        ),
        (
            OsFamily.WINDOWS,
            "C:\\m\\My Model.gguf",
            ("echo FROM C:\\m\\My Model.gguf > Modelfile", "echo PARAMETER num_ctx 8192 >> Modelfile"),
        ),
    ],
)
def test_a_file_of_ones_own_goes_through_a_modelfile(
    system: OsFamily, path: str, lines: tuple[str, ...]
) -> None:
    made = ollama.file_commands(path, (("OLLAMA_CONTEXT_LENGTH", "8192"),), system)
    assert made == (*lines, "ollama create my-model -f Modelfile", "ollama run my-model")


def test_lm_studio_imports_a_file_of_ones_own() -> None:
    assert lmstudio.import_command("m/x-Q4_K_M.gguf") == "lms import m/x-Q4_K_M.gguf --copy"
    load = lmstudio.load_command("m/x-Q4_K_M.gguf", Request(), 4, gpu_layers=33, layers=32)
    assert load == "lms load x-q4_k_m --gpu max --context-length 8192"


def test_ollama_has_one_cache_type_of_three() -> None:
    assert not ollama.refuses(Request(kv_type_k="q4_0", kv_type_v="q4_0"))
    assert ollama.refuses(Request(kv_type_k="q8_0"))
    estimate = answer("ollama", "llama-3.1-8b", GAMING_PC, kv_type="q5_1")
    assert (estimate.fits, codes(estimate)) == (False, {"desktop.ollama.kv_type"})


@pytest.mark.parametrize(
    ("context", "free_gib", "batch"),
    [
        (4096, 24, 512),
        (8192, 24, 1024),
        (65536, 24, 2048),
        (65536, 8, 1024),  # 5 GiB of 8: above 60 %, so one step down
        (65536, 6, 512),
    ],
)
def test_ollama_computes_larger_batches_only_with_room(context: int, free_gib: int, batch: int) -> None:
    gpus = (OllamaGpu(total_bytes=free_gib * GIB, free_bytes=free_gib * GIB, cuda=True),)
    spec = find_model("qwen3-8b")
    assert ollama.own_batch(spec, context, 5 * GIB, gpus, flash_attention=None) == batch


@pytest.mark.parametrize(
    ("capability", "expected"), [((5, 2), False), ((6, 0), None), ((7, 2), False), ((8, 6), None)]
)
def test_flash_attention_is_off_on_old_nvidia_gpus(
    capability: tuple[int, int], expected: bool | None
) -> None:
    gpu = OllamaGpu(total_bytes=8 * GIB, free_bytes=8 * GIB, cuda=True, capability=capability)
    assert ollama.own_flash_attention(None, (gpu,)) is expected


def test_ollama_goes_over_all_gpus_or_one() -> None:
    """9 GB of file and 5 of cache are above 80 % of 12 GiB; 2.5 GB and 0.6 are not."""
    large, small = (
        answer("ollama", "qwen3-14b", OLD_SERVER),
        answer("ollama", "qwen3-4b", OLD_SERVER, context=4096),
    )
    assert large.placement.kind is PlacementKind.MULTI_GPU
    assert small.placement.kind is PlacementKind.GPU


def test_some_architectures_answer_one_at_a_time_in_ollama() -> None:
    estimate = answer("ollama", "qwen3-next-80b-a3b", "2x RTX A6000; 128GB DDR4-3200 x8; linux", parallel=4)
    assert (estimate.parallel, "desktop.ollama.one_conversation" in codes(estimate)) == (1, True)


def test_ollama_counts_the_image_part_of_its_library() -> None:
    estimate = answer("ollama", "gemma-3-4b", GAMING_PC)
    plain = answer_of(
        enrich(from_spec(GAMING_PC)), find_model("gemma-3-4b"), Options(context=4096, quantization="Q4_K_M")
    )
    more = (estimate.memory.total_bytes or 0) - (plain.memory.total_bytes or 0)
    assert more == 2 * (find_model("gemma-3-4b").params_other or 0)


def test_a_game_must_be_there_before_ollama_loads() -> None:
    """llama-server fits into what is free at that moment: nothing keeps the reserve for later."""
    assert "desktop.ollama.others_first" in codes(
        answer("ollama", "qwen3-4b", GAMING_PC, reserve_bytes=6 * GIB)
    )
    assert "desktop.ollama.others_first" not in codes(answer("ollama", "qwen3-4b", GAMING_PC))


def test_the_total_stands_inside_its_band() -> None:
    for engine in ("ollama", "lmstudio"):
        estimate = answer(engine, "gemma-3-12b", GAMING_PC)
        band = estimate.memory_range
        assert band is not None
        assert band.low < band.value == estimate.memory.total_bytes < band.high


@pytest.mark.parametrize(
    ("context", "gpu", "batch"),
    [
        (4096, OllamaGpu(total_bytes=24 * GIB, free_bytes=24 * GIB, cuda=True), 512),
        (16384, OllamaGpu(total_bytes=24 * GIB, free_bytes=24 * GIB, cuda=True), 512),
        (16384, OllamaGpu(total_bytes=8 * GIB, free_bytes=8 * GIB, cuda=True), 256),
        # on AMD flash attention is no reason for smaller batches
        (16384, OllamaGpu(total_bytes=24 * GIB, free_bytes=24 * GIB), 1024),
    ],
)
def test_ollama_computes_smaller_batches_without_flash_attention(
    context: int, gpu: OllamaGpu, batch: int
) -> None:
    spec = find_model("qwen3-8b")
    assert ollama.own_batch(spec, context, 5 * GIB, (gpu,), flash_attention=False) == batch


def test_flash_attention_as_asked_goes_before_ollamas_own_choice() -> None:
    old = OllamaGpu(total_bytes=8 * GIB, free_bytes=8 * GIB, cuda=True, capability=(5, 2))
    assert ollama.own_flash_attention(True, (old,)) is True
    assert ollama.own_flash_attention(None, (old,)) is False


def test_ollama_embeds_one_text_at_a_time() -> None:
    estimate = answer("ollama", "bge-m3", GAMING_PC, parallel=4, context=8192)
    assert (estimate.fits, estimate.parallel) == (True, 1)
    assert "desktop.ollama.one_conversation" in codes(estimate)


def test_a_context_above_the_trained_one_is_lowered_and_told() -> None:
    estimate = answer("ollama", "qwen3-8b", GAMING_PC, context=100_000)
    lowered = next(one for one in estimate.reasons if one.code == "desktop.ollama.context_lowered")
    assert lowered.values == {"asked": 100_000, "context": 40_960}
    assert estimate.context == 40_960


@pytest.mark.parametrize(
    ("ram", "quantization", "name"),
    [(16, "Q4_K_M", "qwen3:14b"), (13, "Q3_K_M", "hf.co/unsloth/Qwen3-14B-GGUF:Q3_K_M")],
)
def test_ollamas_own_tag_is_left_where_it_does_not_fit(ram: int, quantization: str, name: str) -> None:
    estimate = answer("ollama", "qwen3-14b", f"Core i5-8500; {ram}GB DDR4-2666 x2; windows 11")
    assert (estimate.fits, estimate.quantization) == (True, quantization)
    assert estimate.command == f"ollama run {name}"


def test_models_that_llama_cpp_has_no_layout_of_are_unknown_to_ollama_too() -> None:
    estimate = answer("ollama", "pixtral-12b", GAMING_PC, quantization="Q4_K_M")
    assert (estimate.engine, estimate.fits, estimate.command) == ("ollama", None, None)


def test_a_model_nobody_offers_for_ollama_has_no_command() -> None:
    estimate = answer("ollama", "llama-3.1-tulu-3-8b", GAMING_PC)
    assert estimate.fits is True
    assert "desktop.no_known_file" in codes(estimate)
    assert estimate.command is None


def test_a_file_of_ones_own_has_its_context_in_the_modelfile_not_outside() -> None:
    spec = msgspec.structs.replace(
        find_model("llama-3.1-8b"), origin="gguf", path="m/llama.gguf", file_quantization="Q4_K_M"
    )
    machine = enrich(from_spec(GAMING_PC))
    estimate = answer_of(machine, spec, Options(engine="ollama", quantization="Q4_K_M", context=16384))
    assert "PARAMETER num_ctx 16384" in (estimate.command or "")
    assert "desktop.ollama.restart_windows" not in codes(estimate)


# -- LM Studio -----------------------------------------------------------------------


@pytest.mark.parametrize(("gpu_layers", "share"), [(0, "off"), (33, "max"), (11, "0.33")])
def test_lm_studio_gets_a_share_of_the_layers(gpu_layers: int, share: str) -> None:
    name = "bartowski/X-GGUF:Q4_K_M"
    assert lmstudio.get_command(name) == "lms get https://huggingface.co/bartowski/X-GGUF@Q4_K_M"
    load = lmstudio.load_command(name, Request(parallel=2), 2, gpu_layers=gpu_layers, layers=32)
    assert load == f"lms load x --gpu {share} --context-length 16384 --parallel 2"


def test_lm_studios_conversations_share_one_cache() -> None:
    """Four conversations, yet the cache is that of 4,096 tokens: 2 x 32 x 1024 x 4096 x 2 bytes."""
    estimate = answer("lmstudio", "llama-3.1-8b", GAMING_PC, quantization="Q4_K_M")
    assert estimate.context == 4096
    assert sum(device.kv_cache_bytes or 0 for device in estimate.memory.per_device) == 512 * 2**20
    assert "desktop.lmstudio.default_context" in codes(estimate)


def test_lm_studio_leaves_whole_layers_in_ram_not_experts() -> None:
    """`lms load --gpu` is a share of the layers; llama.cpp's own command can name experts."""
    machine = "RTX 3060 12GB; 64GB DDR4-3200 x2; linux"
    estimate = answer("lmstudio", "qwen3-30b-a3b", machine, quantization="Q4_K_M")
    assert (estimate.placement.kind, estimate.placement.split) == (PlacementKind.HYBRID, Split.LAYER)
    assert estimate.command is not None
    assert "--gpu 0." in estimate.command


def test_lm_studio_finds_the_context_that_fits_as_llama_cpp_does() -> None:
    machine, spec = enrich(from_spec(GAMING_PC)), find_model("llama-3.1-8b")
    plain = answer_of(machine, spec, Options(context=4096, quantization="Q8_0"))
    shared = answer("lmstudio", "llama-3.1-8b", GAMING_PC, quantization="Q8_0")
    assert plain.max_context is not None
    assert shared.max_context is not None
    assert abs(plain.max_context - shared.max_context) <= 512


def test_lm_studio_does_not_start_without_avx2() -> None:
    estimate = answer("lmstudio", "qwen3-1.7b", "Core i7-3770; 16GB DDR3-1600 x2; windows 10")
    assert (estimate.fits, codes(estimate)) == (False, {"desktop.lmstudio.needs_avx2"})
    assert answer("lmstudio", "qwen3-1.7b", OFFICE_PC).fits


@pytest.mark.parametrize(
    ("model", "machine", "asked", "code", "values"),
    [
        (
            "gemma-3-12b",
            GAMING_PC,
            {"context": 16384},
            "desktop.lmstudio.context_set",
            {"context": 16384, "own": 4096},
        ),
        (
            "gemma-3-12b",
            GAMING_PC,
            {"kv_type": "q8_0"},
            "desktop.lmstudio.kv_type",
            {"kv_type": "q8_0"},
        ),
        # its layers do not fit: the share is what the user sets
        ("qwen3-30b-a3b", GAMING_PC, {"quantization": "Q4_K_M"}, "desktop.lmstudio.share", {}),
        # nobody publishes a GGUF file of it that the catalog knows
        ("llama-3.1-tulu-3-8b", GAMING_PC, {}, "desktop.no_known_file", {"program": "LM Studio"}),
    ],
)
def test_lm_studios_answer_says_what_to_set_by_hand(
    model: str, machine: str, asked: dict[str, object], code: str, values: dict[str, object]
) -> None:
    estimate = answer("lmstudio", model, machine, **asked)
    said = next(reason for reason in estimate.reasons if reason.code == code)
    assert said.values == values
    assert (estimate.command is None) is (code == "desktop.no_known_file")


@pytest.mark.parametrize(
    ("model", "machine", "asked", "code"),
    [
        ("qwen3-14b", OLD_SERVER, {"quantization": "Q8_0"}, "evenly"),
        ("qwen3-8b", "M4 Max 64GB", {}, "mlx"),
        ("gemma-3-12b", GAMING_PC, {}, "image_part"),
    ],
)
def test_lm_studios_answer_says_what_it_leaves_out(
    model: str, machine: str, asked: dict[str, object], code: str
) -> None:
    always = {f"desktop.lmstudio.not_modeled.{name}" for name in ("guardrails", "own_context")}
    left_out = {reason.code for reason in answer("lmstudio", model, machine, **asked).not_modeled}
    assert left_out == always | {f"desktop.lmstudio.not_modeled.{code}"}


def test_lm_studio_imports_and_loads_the_users_own_file() -> None:
    spec = msgspec.structs.replace(
        find_model("llama-3.1-8b"), origin="gguf", path="m/My Llama.gguf", file_quantization="Q4_K_M"
    )
    options = Options(engine="lmstudio", quantization="Q4_K_M", context_asked=False, parallel_asked=False)
    estimate = answer_of(enrich(from_spec(GAMING_PC)), spec, options)
    assert estimate.command is not None
    first, second = estimate.command.splitlines()
    assert first == 'lms import "m/My Llama.gguf" --copy'
    assert second.startswith("lms load ")


def test_lm_studio_does_not_run_on_intel_macs() -> None:
    estimate = answer("lmstudio", "qwen3-1.7b", "Core i7-8700B; 16GB DDR4-2666 x2; macos")
    assert (estimate.fits, codes(estimate)) == (False, {"desktop.lmstudio.needs_apple_silicon"})
    assert (estimate.command, estimate.max_context) == (None, None)


def test_versions_that_cut_windows_need_less() -> None:
    """Gemma 3 has five layers with a window of 1,024 to one without: at 16,384 tokens most of the cache."""
    windowed = answer("lmstudio", "gemma-3-12b", GAMING_PC, quantization="Q4_0", context=16384)
    plain = answer("lmstudio", "llama-3.1-8b", GAMING_PC, quantization="Q4_0", context=16384)
    assert windowed.memory_range is not None
    assert plain.memory_range is not None
    below = [one.value - one.low for one in (windowed.memory_range, plain.memory_range)]
    # 40 of 48 layers keep 16,384 tokens instead of at most 1,024 x 4 conversations and a batch
    each = 2 * 8 * 256 * 2
    assert below[0] - below[1] > 40 * each * (16384 - 4 * 1024 - 4 * 512)
