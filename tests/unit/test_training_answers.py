"""Fine-tuning on a machine: why not, what to know besides, and the command that starts what was computed."""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.estimate.training import Method, Optimizer, Precision, TrainingSetup, training_memory
from probe.machine import Machine
from probe.machine.system import Memory
from probe.recommender.answer import Verdict
from probe.recommender.train import TrainingAnswer, train
from probe.units import GIB

SERVER = "4x H100 SXM; 512GB DDR5-4800 x8; linux"
OFFLOADED = TrainingSetup(method=Method.FULL, zero=3, gpus=4, offload=True)


def _server(ram: int | None = 512 * GIB) -> Machine:
    memory = Memory(total_bytes=ram, available_bytes=ram)
    return msgspec.structs.replace(enrich(from_spec(SERVER)), memory=memory)


def _codes(answer: TrainingAnswer) -> set[str]:
    return {reason.code.removeprefix("train.reason.") for reason in answer.reasons}


def test_offloaded_states_need_the_ram_to_hold_them() -> None:
    """Full fine-tuning of 8B keeps 16 bytes a parameter in RAM: 120 GiB."""
    spec = find_model("llama-3.1-8b")
    roomy, small, unknown = (train(_server(ram), spec, OFFLOADED) for ram in (512 * GIB, 96 * GIB, None))
    assert roomy.fits is True and roomy.memory is not None
    assert 115 * GIB < roomy.memory.host_bytes < 125 * GIB
    assert (small.fits, "host_small" in _codes(small)) == (False, True)
    assert (unknown.fits, unknown.verdict, "host_unknown" in _codes(unknown)) == (None, Verdict.UNKNOWN, True)


def test_gpu_of_unknown_size_gets_no_promise() -> None:
    machine = _server()
    devices = tuple(msgspec.structs.replace(gpu, memory_total_bytes=None) for gpu in machine.accelerators)
    answer = train(
        msgspec.structs.replace(machine, accelerators=devices), find_model("qwen3-4b"), TrainingSetup()
    )
    assert (answer.fits, answer.verdict, answer.max_batch) == (None, Verdict.UNKNOWN, None)
    assert "capacity_unknown" in _codes(answer)


def test_sequence_longer_than_the_model_was_trained_on_is_named() -> None:
    answer = train(_server(), find_model("llama-2-7b"), TrainingSetup(sequence=8192))
    found = next(reason for reason in answer.reasons if reason.code == "train.reason.long")
    assert found.values == {"sequence": 8192, "trained": 4096}


@pytest.mark.parametrize(
    ("setup", "code"),
    [
        # bitsandbytes quantizes linear modules; stacked experts stay in 16 bits.
        (TrainingSetup(method=Method.QLORA), "experts_4bit"),
        # PEFT's all-linear finds no linear module in stacked experts.
        (TrainingSetup(method=Method.LORA), "experts_frozen"),
    ],
)
def test_stacked_experts_are_named(setup: TrainingSetup, code: str) -> None:
    assert code in _codes(train(_server(), find_model("qwen3-30b-a3b"), setup))
    assert code not in _codes(train(_server(), find_model("qwen3-8b"), setup))


def test_image_tower_is_named_where_the_model_has_one() -> None:
    assert "towers" in _codes(train(_server(), find_model("gemma-3-4b"), TrainingSetup()))


def test_model_without_known_layers_is_answered_with_the_reason() -> None:
    unknown = msgspec.structs.replace(find_model("llama-3.1-8b"), dimensions=None)
    answer = train(_server(), unknown, TrainingSetup())
    assert (answer.memory, answer.fits, answer.verdict) == (None, None, Verdict.UNKNOWN)
    assert answer.reasons


def test_the_band_decides_between_comfortable_and_usable() -> None:
    """Where only the middle of the band fits, the answer is a tight yes."""
    spec, setup = find_model("llama-3.1-8b"), TrainingSetup()
    roomy = train(_server(), spec, setup)
    assert roomy.memory is not None and roomy.capacity_bytes is not None
    middle = (roomy.memory.total.value + roomy.memory.total.high) // 2
    tight = train(_server(), spec, setup, reserve_bytes=roomy.capacity_bytes - middle)
    assert (roomy.verdict, tight.verdict) == (Verdict.COMFORTABLE, Verdict.USABLE)
    assert "fits" in _codes(roomy) and "tight" in _codes(tight)


@pytest.mark.parametrize(
    ("setup", "start", "parts"),
    [
        (TrainingSetup(), "trl sft --model_name_or_path", ["--use_peft", "--lora_r 16", "--dtype bfloat16"]),
        (TrainingSetup(method=Method.QLORA), "trl sft", ["--load_in_4bit", "--bnb_4bit_quant_type nf4"]),
        (TrainingSetup(method=Method.FULL), "trl sft", ["--dtype float32", "--bf16 true"]),
        (TrainingSetup(method=Method.FULL, precision=Precision.BF16), "trl sft",
         ["--dtype bfloat16", "--bf16 false"]),
        (TrainingSetup(gpus=4), "trl sft --accelerate_config multi_gpu --num_processes 4", []),
        (TrainingSetup(gpus=4, zero=2), "trl sft --accelerate_config zero2 --num_processes 4", []),
        (TrainingSetup(gpus=4, zero=2, offload=True),
         "accelerate launch --use_deepspeed --zero_stage 2 --mixed_precision bf16"
         " --offload_optimizer_device cpu --num_processes 4 -m trl.scripts.sft", []),
        (OFFLOADED,
         "accelerate launch --use_deepspeed --zero_stage 3 --mixed_precision bf16"
         " --offload_optimizer_device cpu --offload_param_device cpu --num_processes 4 -m trl.scripts.sft",
         []),
    ],
)  # fmt: skip
def test_command_starts_what_was_computed(setup: TrainingSetup, start: str, parts: list[str]) -> None:
    """TRL's command line (huggingface.co/docs/trl/clis) and accelerate's launch options."""
    command = train(_server(), find_model("llama-3.1-8b"), setup).command
    assert command is not None and command.startswith(start)
    assert [part for part in parts if part not in command] == []
    assert ("--use_peft" in command) == (setup.method is not Method.FULL)


def test_states_in_8_bits_take_a_quarter_and_their_scales() -> None:
    """bitsandbytes: one byte a state and a float each for every block; embeddings stay in 32 bits."""
    spec = find_model("llama-2-7b")
    wide, narrow = (
        training_memory(spec, TrainingSetup(method=Method.FULL, optimizer=optimizer)).optimizer.value
        for optimizer in (Optimizer.ADAMW, Optimizer.ADAMW_8BIT)
    )
    assert 0.25 < narrow / wide < 0.30


@pytest.mark.parametrize("name", ["mamba2-2.7b", "granite-4.0-h-tiny", "nemotron-nano-9b-v2", "llama-3.1-8b"])
def test_bands_of_training_are_in_order(name: str) -> None:
    for checkpointing in (True, False):
        found = training_memory(find_model(name), TrainingSetup(checkpointing=checkpointing))
        for part in (found.activations, found.compute, found.runtime, found.total):
            assert 0 <= part.low <= part.value <= part.high


def test_zero_holds_a_bucket_of_the_adapters_and_at_most_two() -> None:
    """Adapters alone are sent: 16 bits a weight in each bucket."""
    spec = find_model("qwen3-4b")
    plain, sharded = (training_memory(spec, TrainingSetup(gpus=2, zero=zero)) for zero in (0, 1))
    assert sharded.compute.high - plain.compute.high == 2 * plain.trainable


def test_more_activations_leave_more_that_pytorch_cannot_reuse() -> None:
    spec = find_model("qwen3-4b")
    one, eight = (training_memory(spec, TrainingSetup(batch=batch)) for batch in (1, 8))
    assert eight.runtime.high - one.runtime.high > 0.01 * (eight.activations.high - one.activations.high)
