"""Which device gets which layer: llama.cpp's own arithmetic of -ngl, -ts and --n-cpu-moe."""

import pytest

from probe.engines.llama_cpp_split import engine_gpu_layers, plan_layers
from probe.engines.request import LayerSplit
from probe.estimate.weight_bytes import WeightBytes

LAYERS = 8


def weights(*, tied: bool = False) -> WeightBytes:
    return WeightBytes(
        quantization="Q4_K_M",
        file_bytes=0,
        layers=(100,) * LAYERS,
        layer_experts=(60,) * LAYERS,
        layer_active=(50,) * LAYERS,
        token_embedding_bytes=30,
        per_layer_embedding_bytes=7,
        output_bytes=1 if tied else 31,
        output_is_tied=tied,
    )


def test_nothing_is_offloaded_without_devices_or_layers() -> None:
    for split in (LayerSplit(), LayerSplit(gpu_layers=0, shares=(("gpu0", 1.0),)), LayerSplit(gpu_layers=9)):
        plan = plan_layers(weights(), split)
        assert plan.devices == ("cpu",)
        assert plan.weights == {"cpu": LAYERS * 100 + 30 + 7 + 31}


def test_input_tables_stay_in_host_memory() -> None:
    plan = plan_layers(weights(), LayerSplit(gpu_layers=9, shares=(("gpu0", 1.0),)))
    assert plan.weights == {"cpu": 37, "gpu0": LAYERS * 100 + 31}
    assert plan.output_device == "gpu0"


def test_a_tied_head_is_loaded_again_beside_the_last_layer() -> None:
    plan = plan_layers(weights(tied=True), LayerSplit(gpu_layers=9, shares=(("gpu0", 1.0),)))
    assert plan.weights == {"cpu": 37, "gpu0": LAYERS * 100 + 1 + 30}


@pytest.mark.parametrize(
    ("tied", "first", "host"), [(True, True, 868), (True, False, 838), (False, True, 868)]
)
def test_a_head_that_is_made_first_is_there_twice(tied: bool, first: bool, host: int) -> None:
    assert plan_layers(weights(tied=tied), LayerSplit(), head_first=first).weights == {"cpu": host}


def test_the_output_goes_first_and_then_the_last_layers() -> None:
    one = plan_layers(weights(), LayerSplit(gpu_layers=1, shares=(("gpu0", 1.0),)))
    assert one.layers_of("gpu0") == ()
    assert one.output_device == "gpu0"
    four = plan_layers(weights(), LayerSplit(gpu_layers=4, shares=(("gpu0", 1.0),)))
    assert four.layers_of("cpu") == (0, 1, 2, 3, 4)
    assert four.layers_of("gpu0") == (5, 6, 7)


def test_layers_are_dealt_in_proportion_and_in_order() -> None:
    plan = plan_layers(weights(), LayerSplit(gpu_layers=9, shares=(("gpu0", 2.0), ("gpu1", 1.0))))
    assert plan.layers_of("gpu0") == (0, 1, 2, 3, 4, 5)
    assert plan.layers_of("gpu1") == (6, 7)
    assert plan.output_device == "gpu1"
    assert sum(plan.weights.values()) == LAYERS * 100 + 37 + 31


def test_a_device_without_a_share_gets_nothing() -> None:
    plan = plan_layers(weights(), LayerSplit(gpu_layers=9, shares=(("gpu0", 0.0), ("gpu1", 1.0))))
    assert plan.weights["gpu0"] == 0
    assert plan.layers_of("gpu1") == tuple(range(LAYERS))


def test_experts_of_the_first_layers_go_to_the_host() -> None:
    split = LayerSplit(gpu_layers=9, shares=(("gpu0", 1.0),), cpu_expert_layers=3)
    plan = plan_layers(weights(), split)
    assert plan.weights == {"cpu": 37 + 180, "gpu0": LAYERS * 100 - 180 + 31}
    assert plan.keeps_layers_on_host


def test_prediction_layers_are_counted_but_not_loaded() -> None:
    split = LayerSplit(gpu_layers=9, shares=(("gpu0", 1.0),))
    assert engine_gpu_layers(split, 1) == 10
    plan = plan_layers(weights(), split, prediction_layers=1)
    assert plan.layers_of("gpu0") == tuple(range(LAYERS))
    halves = LayerSplit(gpu_layers=9, shares=(("gpu0", 1.0), ("gpu1", 1.0)))
    assert plan_layers(weights(), halves, prediction_layers=1).layers_of("gpu1") == (5, 6, 7)
