"""What works instead of vLLM here: never a way that this processor, system or GPU state rules out.

Stands on recordings of tests/machines and on: PyPI METADATA of torch 2.10.0 (no CUDA on aarch64), ollama's
scripts/install.sh (files of its own for JetPack 5 and 6), GPU targets of llama.cpp's release workflow.
"""

from pathlib import Path

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import Host, Machine, NvidiaDriver, OperatingSystem, OsFamily
from probe.recommender.preflight.judge import Preflight, Verdict, preflight
from probe.recommender.preflight.situation import Ask, Result
from probe.report.preflight import preflight_document

RECORDINGS = Path(__file__).parent.parent / "machines"


def _recorded(name: str) -> Machine:
    return enrich(scan_machine(RecordedHost(RECORDINGS / name)))


def _server(spec: str, *, processor: str = "x86_64", driver: str = "580.95.05", **system: str) -> Machine:
    machine = enrich(from_spec(spec))
    named = {"name": "Ubuntu", "glibc": "2.39", **system}
    return msgspec.structs.replace(
        machine,
        host=Host(os=OperatingSystem(family=OsFamily.LINUX, **named), python="3.12.3", name="server"),
        cpu=msgspec.structs.replace(machine.cpu, architecture=processor),
        nvidia=NvidiaDriver(driver_version=driver),
    )


def _ways(made: Preflight) -> list[tuple[str, str | None]]:
    return [(one.engine, one.version or one.build) for one in made.alternatives]


def _failed(made: Preflight) -> set[str]:
    return {check.id for check in made.checks if check.blocking and check.result is Result.FAIL}


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        ("docker-without-nvidia-runtime", "--gpus all"),
        ("linux-t4-no-permission", "/dev/nvidia"),
        ("linux-rtx3090-driver-mismatch", "Restart"),
        ("linux-vfio-passthrough-host", "virtual machine"),
    ],
)
def test_card_kept_from_us_is_not_cured_by_installing_a_driver(recording: str, words: str) -> None:
    document = preflight_document(preflight(_recorded(recording), Ask()), Ask(), "server", "en")
    first = document.alternatives[0]
    assert first.engine == "vllm"
    assert first.command is None
    assert words in first.why


def test_missing_driver_is_cured_by_installing_one() -> None:
    made = preflight(_recorded("linux-rtx2080ti-nouveau"), Ask())
    assert "580" in (made.alternatives[0].command or "")


@pytest.mark.parametrize("recording", ["linux-jetson-orin-jetpack6", "linux-gh200-480gb"])
def test_older_releases_are_no_way_on_arm(recording: str) -> None:
    """Drivers 540 and 570: on x86_64 vLLM 0.19.1 would run with them."""
    made = preflight(_recorded(recording), Ask())
    assert made.verdict is Verdict.NOT_READY
    assert "driver" in _failed(made)
    assert "0.19.1" not in {one.version for one in made.alternatives}


@pytest.mark.parametrize("recording", ["linux-jetson-orin-jetpack6", "linux-jetson-xavier-jetpack5"])
def test_jetson_is_not_sent_to_files_for_other_arm_machines(recording: str) -> None:
    ways = _ways(preflight(_recorded(recording), Ask()))
    assert ("llama.cpp", None) in ways
    assert ("ollama", None) in ways


def test_apple_chip_under_linux_gets_vulkan_not_mlx() -> None:
    ways = _ways(preflight(_recorded("linux-asahi-m1-16gb"), Ask()))
    assert ("llama.cpp", "vulkan") in ways
    assert not {"mlx-lm", "lmstudio"} & {engine for engine, _ in ways}


@pytest.mark.parametrize("processor", ["ppc64le", "armv7l"])
def test_processor_without_wheels_has_no_vllm_and_no_files_to_download(processor: str) -> None:
    ways = _ways(preflight(_server("Tesla V100-SXM2-32GB", processor=processor), Ask()))
    assert ways == [("ollama", None), ("llama.cpp", None)]


def test_musl_gets_a_container_never_an_older_wheel() -> None:
    machine = _server("Tesla V100-SXM2-32GB", name="Alpine Linux", glibc="")
    assert "0.19.1" not in {one.version for one in preflight(machine, Ask()).alternatives}


@pytest.mark.parametrize(
    ("gpu", "build"), [("MI50 32GB", "vulkan"), ("MI300X", "rocm"), ("RX 7900 XTX", "rocm")]
)
def test_rocm_file_of_llama_cpp_only_where_it_holds_code(gpu: str, build: str) -> None:
    assert ("llama.cpp", build) in _ways(preflight(_server(gpu), Ask()))


@pytest.mark.parametrize(("model", "length"), [("bge-small-en-v1.5", 512), ("nomic-embed-text-v1.5", 2048)])
def test_short_trained_length_is_no_lack_of_memory(model: str, length: int) -> None:
    ask = Ask(model=find_model(model))
    document = preflight_document(preflight(_server("RTX 4090"), ask), ask, "server", "en")
    (check,) = [check for check in document.checks if check.id == "kv_fit"]
    assert check.result == "warn"
    assert check.fix == (
        f"The model is made for at most {length:,} tokens: --max-model-len {length}, as in the command."
    )


def test_cache_that_is_not_modeled_does_not_keep_the_weights_on_one_gpu() -> None:
    """DeepSeek V4's cache is not modeled; 8 H200 hold its weights many times over."""
    made = preflight(_server("8x H200; 2048GB DDR5-4800 x24"), Ask(model=find_model("deepseek-v4-flash")))
    results = {check.id: check.result for check in made.checks}
    assert (results["weights_fit"], results["kv_fit"]) == (Result.PASS, Result.UNKNOWN)
    assert "weights_fit" in _failed(
        preflight(_server("RTX 4090"), Ask(model=find_model("deepseek-v4-flash")))
    )


def test_refusal_says_why() -> None:
    ask = Ask(model=find_model("bamba-9b-v2"))
    document = preflight_document(preflight(_server("RTX 4090"), ask), ask, "server", "en")
    (check,) = [check for check in document.checks if check.id == "kv_fit"]
    assert check.fix is not None
    assert "bamba" in check.fix


@pytest.mark.parametrize("model", ["bitnet-b1.58-2b-4t", "llama-3.2-11b-vision"])
def test_models_that_vllm_does_not_load_are_refused(model: str) -> None:
    """No registered method reads BitNet's packing; Mllama was dropped after 0.10.2 (registry.py)."""
    assert preflight(_server("H200"), Ask(model=find_model(model))).verdict is Verdict.NOT_READY


@pytest.mark.parametrize("quantization", ["Q4_K_M", "bnb-nf4"])
def test_formats_of_plugins_fail_by_their_own_check_alone(quantization: str) -> None:
    """GGUF and bitsandbytes left the package of vLLM; weights that would fit do not make the cache fail."""
    made = preflight(_server("RTX 3090"), Ask(model=find_model("qwen3-8b"), quantization=quantization))
    assert "quant_supported" in _failed(made)
    assert "kv_fit" not in _failed(made)


@pytest.mark.parametrize(
    ("gpu", "older"), [("Tesla P40", "torch==2.7.1"), ("Tesla V100-SXM2-32GB", "torch==2.10.0")]
)
def test_transformers_names_the_pytorch_that_has_code_for_an_old_gpu(gpu: str, older: str) -> None:
    """Architectures compiled into PyPI's wheels: catalogs/engines/torch.json."""
    ask = Ask(engine="transformers")
    document = preflight_document(preflight(_server(gpu), ask), ask, "server", "en")
    (found,) = [check for check in document.checks if check.id == "compute_capability"]
    assert found.result == "warn"
    assert older in (found.fix or "")


def test_card_that_is_left_out_does_not_refuse_the_format() -> None:
    machine = _server("RTX 4090; Tesla P100 12GB; 128GB DDR4-2666 x4")
    made = preflight(machine, Ask(model=find_model("qwen3-14b")))
    results = {check.id: check.result for check in made.checks}
    assert (results["compute_capability"], results["quant_supported"]) == (Result.WARN, Result.PASS)
    assert made.verdict is not Verdict.NOT_READY


def test_gaudi_is_served_by_its_plugin_and_intel_s_other_devices_are_not() -> None:
    """docs.vllm.ai/projects/gaudi: Gaudi 2 and 3, Python 3.10."""
    gaudi = _recorded("linux-8x-gaudi2")
    assert _ways(preflight(gaudi, Ask()))[0] == ("vllm-gaudi", None)
    assert preflight(gaudi, Ask(engine="vllm-gaudi")).verdict is Verdict.READY
    ask = Ask(engine="vllm-gaudi")
    laptop = preflight(_recorded("linux-laptop-core-ultra-155h"), ask)
    assert "gpu_present" in _failed(laptop)
    document = preflight_document(laptop, ask, "laptop", "en")
    (python,) = [check for check in document.checks if check.id == "python"]
    assert "--python 3.10" in (python.fix or "")


def test_weights_too_large_in_every_format_say_which_were_tried() -> None:
    ask = Ask(model=find_model("llama-3.3-70b"))
    document = preflight_document(preflight(_server("RTX 4090"), ask), ask, "server", "en")
    (found,) = [check for check in document.checks if check.id == "weights_fit"]
    assert "neither as bf16 nor as fp8, awq" in (found.fix or "")


def test_wsl1_is_turned_into_wsl2_and_has_no_gpu_files() -> None:
    machine = _server("RTX 4090")
    system = msgspec.structs.replace(machine.host.os, wsl=1)
    machine = msgspec.structs.replace(machine, host=msgspec.structs.replace(machine.host, os=system))
    made = preflight(machine, Ask())
    assert (made.alternatives[0].command or "").startswith("wsl --set-version")
    assert ("llama.cpp", "cpu") in _ways(made)
