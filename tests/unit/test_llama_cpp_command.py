"""The command sets what was computed, no more."""

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.engines.llama_cpp_command import command
from probe.engines.request import LayerSplit, Request
from probe.recommender.fit import Estimator
from probe.recommender.options import Options

ON_GPU = LayerSplit(gpu_layers=33, shares=(("gpu0", 1.0),))


def test_context_is_that_of_all_conversations() -> None:
    line = command("m.gguf", Request(context=4096, parallel=4), ON_GPU)
    assert "-c 16384 -np 4" in line
    assert "--kv-unified" not in line


def test_defaults_are_left_to_the_engine() -> None:
    assert command("m.gguf", Request(), ON_GPU) == "llama-server -m m.gguf -c 8192 -np 1 -ngl 33"


def test_a_repository_is_downloaded_a_file_is_opened() -> None:
    assert "-hf bartowski/M-GGUF:Q4_K_M" in command("bartowski/M-GGUF:Q4_K_M", Request(), ON_GPU)
    assert '-m "my models/a.gguf"' in command("my models/a.gguf", Request(), ON_GPU)


def test_everything_asked_is_set() -> None:
    request = Request(kv_type_k="q8_0", kv_type_v="q4_0", ubatch=4096, flash_attention=True, kv_unified=True)
    split = LayerSplit(gpu_layers=33, shares=(("gpu0", 3.0), ("gpu1", 1.0)), cpu_expert_layers=5)
    line = command("m.gguf", request, split)
    for part in (
        "--kv-unified", "-ngl 33", "-sm layer -ts 3,1", "--n-cpu-moe 5", "-fa on", "-ctk q8_0", "-ctv q4_0",
        "-b 4096 -ub 4096",
    ):  # fmt: skip
        assert part in line


def test_prediction_layers_are_part_of_the_count() -> None:
    assert "-ngl 48" in command(
        "m.gguf", Request(), LayerSplit(gpu_layers=47, shares=(("gpu0", 1.0),)), prediction_layers=1
    )


def test_without_a_gpu_nothing_is_offloaded() -> None:
    assert "-ngl 0 --device none" in command("m.gguf", Request(), LayerSplit())
    assert "-fa off" in command("m.gguf", Request(flash_attention=False), LayerSplit())


@pytest.mark.parametrize(
    ("seen", "flags"),
    [
        ((), ""),
        (("gpu0",), ""),
        (("gpu0", "gpu1"), " -sm none"),
        (("gpu1", "gpu0"), " -sm none -mg 1"),
    ],
)
def test_one_gpu_of_several_is_named(seen: tuple[str, ...], flags: str) -> None:
    """The engine divides among all it sees unless it is told not to."""
    assert command("m.gguf", Request(), ON_GPU, alone_among=seen).endswith("-ngl 33" + flags)


def test_a_model_that_fits_one_of_two_gpus_is_started_on_one() -> None:
    def line(spec: str) -> str:
        found = Estimator(enrich(from_spec(spec)), Options()).estimate(find_model("llama-3.1-8b"), "Q4_K_M")
        return found.command or ""

    assert line("2x RTX 3090; 64GB").endswith(" -sm none")
    assert "-sm" not in line("RTX 3090; 64GB")
