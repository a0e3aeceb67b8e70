"""Servers judged before an engine is installed: verdict, what decides, what works instead.

Expected values: vllm 0.33.0's wheel tags, compiled code, Requires-Python and installation
pages, NVIDIA's driver tables, Ollama's and llama.cpp's supported cards.
"""

import msgspec
import pytest

from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.preflight import preflight_checks
from probe.catalog.vllm_quantization import vllm_quantization
from probe.collectors.server import (
    parse_iommu,
    parse_limits,
    parse_listening,
    parse_module_kind,
    parse_modules,
    parse_xids,
)
from probe.errors import InputError, UnknownNameError
from probe.machine import (
    AcceleratorState,
    Disk,
    ForeignProcess,
    Host,
    Machine,
    NvidiaDriver,
    OperatingSystem,
    OsFamily,
)
from probe.machine.server import UNLIMITED, ServerFacts
from probe.recommender.preflight.judge import JUDGES, Preflight, Verdict, preflight
from probe.recommender.preflight.situation import Ask, Result
from probe.report.encode import to_json
from probe.report.preflight import build_matrix, build_preflight
from probe.units import GIB, MIB

READY, WARNINGS = Verdict.READY, Verdict.READY_WITH_WARNINGS
NOT, CANNOT = Verdict.NOT_READY, Verdict.CANNOT_TELL


def _server(
    spec: str,
    *,
    driver: str | None = "580.95.05",
    family: str | None = "linux",
    glibc: str | None = "2.35",
    python: str | None = "3.12.3",
    wsl: int | None = None,
    container: str | None = None,
    processor: str | None = None,
    isa: tuple[str, ...] = ("avx2", "avx512f"),
    disk_gib: int | None = 200,
    shm_bytes: int = 64 * GIB,
    ram_gib: int = 128,
    state: AcceleratorState | None = None,
    reason: str | None = None,
    held_gib: float = 0,
    compute_mode: str | None = None,
    mig: bool | None = None,
    module: str | None = None,
    library: str | None = None,
) -> Machine:
    machine = from_spec(spec)
    cpu = msgspec.structs.replace(
        machine.cpu, architecture=processor or machine.cpu.architecture or "x86_64", isa=isa
    )
    gpus = tuple(
        msgspec.structs.replace(
            device,
            memory_free_bytes=(device.memory_total_bytes or 0) - round(held_gib * GIB),
            processes=(ForeignProcess(pid=7, name="python", memory_bytes=round(held_gib * GIB)),)
            if held_gib
            else (),
            state=state or device.state,
            state_reason=reason,
            compute_mode=compute_mode,
            mig_enabled=mig,
        )
        for device in machine.accelerators
    )
    system = OperatingSystem(
        family=OsFamily(family) if family else None,
        name={"linux": "Ubuntu", "windows": "Windows", "macos": "macOS"}.get(family or ""),
        glibc=glibc if family == "linux" else None,
        wsl=wsl,
        container=container,
        desktop=False,
    )
    disks = (Disk(path="/home/user", purpose="home", free_bytes=disk_gib * GIB),) if disk_gib else ()
    shm = Disk(path="/dev/shm", purpose="shared_memory", total_bytes=shm_bytes)
    total = machine.memory.total_bytes or ram_gib * GIB
    return msgspec.structs.replace(
        machine,
        host=Host(os=system, python=python, name="server"),
        cpu=cpu,
        accelerators=gpus,
        nvidia=NvidiaDriver(driver_version=driver, kernel_module_version=module, library_version=library)
        if driver
        else None,
        memory=msgspec.structs.replace(machine.memory, total_bytes=total, available_bytes=total - 4 * GIB),
        disks=(*disks, shm),
    )


def _deciding(made: Preflight, *results: Result) -> set[str]:
    return {check.id for check in made.checks if check.blocking and check.result in results}


# name, machine, what was asked, verdict, blocking fails, first alternative engine
SERVERS = [
    # generations of NVIDIA GPUs with the driver 580 of CUDA 13
    ("2 x P100", _server("2x Tesla P100 12GB"), {}, NOT, {"compute_capability"}, "ollama"),
    ("GTX 1080 Ti", _server("GTX 1080 Ti"), {}, NOT, {"compute_capability"}, "ollama"),
    ("2 x TITAN V", _server("2x TITAN V"), {}, NOT, {"compute_capability"}, "vllm"),
    ("V100", _server("Tesla V100 PCIe 32GB"), {}, NOT, {"compute_capability"}, "vllm"),
    ("V100, 0.19.1", _server("Tesla V100 PCIe 32GB"), {"target_version": "0.19.1"}, WARNINGS, set(), None),
    ("T4", _server("Tesla T4", driver="580.82.07"), {}, WARNINGS, set(), None),
    ("T4, aarch64", _server("Tesla T4", processor="aarch64"), {}, NOT, {"compute_capability"}, "ollama"),
    ("2 x RTX 3060", _server("2x RTX 3060 12GB"), {}, READY, set(), None),
    ("A100", _server("A100 PCIe 80GB"), {}, READY, set(), None),
    ("RTX 4090", _server("RTX 4090"), {}, READY, set(), None),
    ("4 x L40S", _server("4x L40S"), {}, READY, set(), None),
    ("8 x H100", _server("8x H100 SXM"), {}, READY, set(), None),
    ("H200", _server("H200"), {}, READY, set(), None),
    ("GH200", _server("GH200 96GB; 480GB LPDDR5X"), {}, READY, set(), None),
    ("B200", _server("B200"), {}, READY, set(), None),
    ("RTX 5090", _server("RTX 5090"), {}, READY, set(), None),
    ("DGX Spark", _server("DGX Spark"), {}, READY, set(), None),
    # drivers
    ("driver 470", _server("RTX 3090", driver="470.256.02"), {}, NOT, {"driver", "driver_cuda"}, "vllm"),
    ("driver 525", _server("RTX 3090", driver="525.147.05"), {}, WARNINGS, set(), None),
    ("driver 550", _server("2x RTX 3060 12GB", driver="550.54.14"), {}, WARNINGS, set(), None),
    ("driver 570", _server("RTX 4090", driver="570.124.06"), {}, WARNINGS, set(), None),
    ("driver 595", _server("RTX 4090", driver="595.58.03"), {}, READY, set(), None),
    ("driver unknown", _server("RTX 4090", driver=None), {}, CANNOT, set(), None),
    (
        "driver 550, 0.33.0 asked",
        _server("RTX 4090", driver="550.54.14"),
        {"target_version": "0.33.0"},
        NOT,
        {"driver", "driver_cuda"},
        "vllm",
    ),
    (
        "updated without restart",
        _server(
            "RTX 4090",
            state=AcceleratorState.UNUSABLE,
            reason="driver_mismatch",
            module="570.124.06",
            library="580.95.05",
        ),
        {},
        NOT,
        {"gpu_present", "driver_mismatch"},
        "vllm",
    ),
    (
        "nouveau",
        _server("RTX 3090", state=AcceleratorState.NO_DRIVER, reason="nouveau", driver=None),
        {},
        NOT,
        {"gpu_present", "nouveau"},
        "vllm",
    ),
    (
        "prohibited",
        _server("A100 PCIe 80GB", state=AcceleratorState.BLOCKED, reason="compute_mode_prohibited"),
        {},
        NOT,
        {"gpu_present", "compute_mode"},
        "vllm",
    ),
    ("exclusive", _server("A100 PCIe 80GB", compute_mode="exclusive_process"), {}, WARNINGS, set(), None),
    ("MIG on", _server("A100 PCIe 80GB", mig=True), {}, WARNINGS, set(), None),
    ("half occupied", _server("RTX 4090", held_gib=8), {}, WARNINGS, set(), None),
    # other makers
    ("MI300X", _server("MI300X", driver=None), {}, NOT, {"gpu_present"}, "vllm"),
    ("MI300X, ROCm build", _server("MI300X", driver=None), {"build": "rocm"}, READY, set(), None),
    (
        "MI300X, ROCm build, 3.11",
        _server("MI300X", driver=None, python="3.11.4"),
        {"build": "rocm"},
        NOT,
        {"python"},
        "ollama",
    ),
    ("Arc B580", _server("Arc B580", driver=None), {}, NOT, {"gpu_present"}, "vllm"),
    ("CPU only", _server("2x EPYC 9554", driver=None), {}, NOT, {"gpu_present"}, "ollama"),
    ("CPU build", _server("2x EPYC 9554", driver=None), {"build": "cpu"}, READY, set(), None),
    (
        "CPU build, AVX2 only",
        _server("Core i5-8500", driver=None, isa=("avx2",)),
        {"build": "cpu"},
        WARNINGS,
        set(),
        None,
    ),
    (
        "CPU build, no AVX2",
        _server("Core i5-8500", driver=None, isa=("avx",)),
        {"build": "cpu"},
        NOT,
        {"cpu_isa"},
        "ollama",
    ),
    # systems
    ("WSL2", _server("RTX 4090", wsl=2, driver="581.15"), {}, WARNINGS, set(), None),
    ("WSL1", _server("RTX 4090", wsl=1), {}, NOT, {"wsl2"}, "vllm"),
    ("Windows", _server("RTX 4090", family="windows"), {}, NOT, {"os"}, "vllm"),
    (
        "macOS",
        _server("M4 Max 64GB", family="macos", driver=None),
        {},
        NOT,
        {"os", "gpu_present"},
        "mlx-lm",
    ),
    ("system unknown", _server("RTX 4090", family=None), {}, CANNOT, set(), None),
    ("glibc 2.17", _server("RTX 4090", glibc="2.17"), {}, NOT, {"glibc"}, "vllm"),
    ("glibc 2.28", _server("RTX 4090", glibc="2.28"), {}, READY, set(), None),
    ("glibc unknown", _server("RTX 4090", glibc=None), {}, CANNOT, set(), None),
    ("ppc64le", _server("Tesla T4", processor="ppc64le"), {}, NOT, {"arch"}, "ollama"),
    ("Python 3.8", _server("RTX 4090", python="3.8.10"), {}, NOT, {"python"}, "vllm"),
    ("Python 3.10", _server("RTX 4090", python="3.10.12"), {}, NOT, {"python"}, "vllm"),
    ("Python 3.11", _server("RTX 4090", python="3.11.2"), {}, READY, set(), None),
    ("Python 3.14", _server("RTX 4090", python="3.14.0"), {}, READY, set(), None),
    # disks, shared memory, containers
    ("full disk", _server("RTX 4090", disk_gib=6), {}, NOT, {"disk_wheels"}, "ollama"),
    ("little disk", _server("RTX 4090", disk_gib=14), {}, WARNINGS, set(), None),
    ("disk unknown", _server("RTX 4090", disk_gib=None), {}, CANNOT, set(), None),
    (
        "container, 64 MiB of shm, two GPUs",
        _server("2x RTX 3060 12GB", container="docker", shm_bytes=64 * MIB),
        {},
        NOT,
        {"shm"},
        "ollama",
    ),
    (
        "container, 64 MiB of shm, one GPU",
        _server("RTX 4090", container="docker", shm_bytes=64 * MIB),
        {},
        WARNINGS,
        set(),
        None,
    ),
    ("spec alone", from_spec("RTX 4090"), {}, CANNOT, set(), None),
    # other engines
    ("SGLang on T4", _server("Tesla T4"), {"engine": "sglang"}, NOT, {"compute_capability"}, "ollama"),
    ("SGLang, glibc 2.31", _server("RTX 4090", glibc="2.31"), {"engine": "sglang"}, NOT, {"glibc"}, "ollama"),
    ("SGLang on H100", _server("H100 SXM"), {"engine": "sglang"}, READY, set(), None),
    (
        "TensorRT-LLM, 3.13",
        _server("H100 SXM", python="3.13.1"),
        {"engine": "tensorrt-llm"},
        NOT,
        {"python"},
        "ollama",
    ),
    ("llama.cpp on P100", _server("2x Tesla P100 12GB"), {"engine": "llama.cpp"}, READY, set(), None),
    (
        "Ollama on Windows",
        _server("RTX 4090", family="windows", driver="581.15"),
        {"engine": "ollama"},
        READY,
        set(),
        None,
    ),
    (
        "llama.cpp without GPU",
        _server("Core i5-8500", driver=None),
        {"engine": "llama.cpp"},
        WARNINGS,
        set(),
        None,
    ),
    ("LM Studio, no AVX2", _server("Core i5-8500", driver=None, isa=("avx",), family="windows"),
     {"engine": "lmstudio"}, NOT, {"cpu_isa"}, "ollama"),
    (
        "MLX on a Mac",
        _server("M4 Max 64GB", family="macos", driver=None),
        {"engine": "mlx"},
        READY,
        set(),
        None,
    ),
    ("MLX on Windows", _server("RTX 4090", family="windows"), {"engine": "mlx"}, NOT,
     {"gpu_present"}, "ollama"),
    ("vllm-rbln without card", _server("RTX 4090"), {"engine": "vllm-rbln"}, NOT, {"gpu_present"}, "ollama"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "ask", "verdict", "fails", "instead"),
    [row[1:] for row in SERVERS],
    ids=[row[0] for row in SERVERS],
)
def test_server_is_judged_by_what_decides(
    machine: Machine, ask: dict[str, str], verdict: Verdict, fails: set[str], instead: str | None
) -> None:
    made = preflight(machine, Ask(**ask))  # type: ignore[arg-type]  # rows hold text options only
    assert (made.verdict, _deciding(made, Result.FAIL)) == (verdict, fails)
    assert (made.alternatives[0].engine if made.alternatives else None) == instead
    if verdict is Verdict.CANNOT_TELL:
        assert _deciding(made, Result.UNKNOWN)
    assert (made.start is None) == (verdict is Verdict.NOT_READY)


# machine, model, asked, verdict, format, TP, PP, tokens that fit (low, high)
MODELS = [
    ("2x RTX 3060 12GB", "qwen3-14b", {"context": 32768}, WARNINGS, "awq", 2, 1, (55_000, 60_000)),
    ("RTX 3060 12GB", "qwen3-14b", {"quantization": "awq"}, NOT, "awq", 1, 1, None),
    ("2x RTX 3060 12GB", "qwen3-32b", {"quantization": "awq"}, NOT, "awq", 2, 1, None),
    ("Tesla T4", "qwen3-8b", {"context": 32768}, WARNINGS, "awq", 1, 1, (43_000, 48_000)),
    ("Tesla T4", "gemma-3-4b", {}, NOT, "bf16", 1, 1, None),
    ("GH200 96GB; 480GB LPDDR5X", "llama-3.3-70b", {"quantization": "fp8", "context": 32768}, READY,
     "fp8", 1, 1, (48_000, 51_000)),
    ("H200", "llama-3.3-70b", {"quantization": "fp8"}, READY, "fp8", 1, 1, (178_000, 190_000)),
    ("H200", "llama-3.3-70b", {"quantization": "bf16"}, NOT, "bf16", 1, 1, None),
    ("2x H200", "llama-3.3-70b", {"quantization": "bf16"}, WARNINGS, "bf16", 2, 1, (300_000, 400_000)),
    ("RTX 5090", "qwen3-32b", {"quantization": "awq", "context": 32768}, READY, "awq", 1, 1,
     (35_000, 40_000)),
    ("RTX 5090", "qwen3-8b", {}, READY, "bf16", 1, 1, (70_000, 90_000)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "model", "ask", "verdict", "quantization", "tp", "pp", "tokens"), MODELS)
def test_wished_model_is_served_as_the_worked_cases_say(  # noqa: PLR0917 - one argument a column
    spec: str,
    model: str,
    ask: dict[str, object],
    verdict: Verdict,
    quantization: str,
    tp: int,
    pp: int,
    tokens: tuple[int, int] | None,
) -> None:
    made = preflight(_server(spec), Ask(model=find_model(model), **ask))  # type: ignore[arg-type]  # typed by name
    assert made.served is not None and made.served.answer is not None
    answer = made.served.answer
    assert (made.verdict, made.served.quantization) == (verdict, quantization)
    if tokens is None:
        assert _deciding(made, Result.FAIL) & {"weights_fit", "kv_fit"}
        return
    assert (answer.parallel.tp, answer.parallel.pp) == (tp, pp)
    assert tokens[0] <= (answer.kv_tokens or 0) <= tokens[1]


def test_command_pins_the_release_that_the_driver_runs() -> None:
    made = preflight(_server("2x RTX 3060 12GB", driver="550.54.14"), Ask())
    assert made.start is not None and made.release is not None
    assert made.release.version == "0.19.1"
    assert 'install "vllm==0.19.1"' in made.start.lines


def test_command_starts_what_was_computed() -> None:
    made = preflight(_server("2x RTX 3060 12GB"), Ask(model=find_model("qwen3-14b"), context=32768))
    assert made.start is not None
    assert made.start.serve == (
        "vllm serve Qwen/Qwen3-14B-AWQ --tensor-parallel-size 2 --max-model-len 32768"
    )


def test_too_long_a_context_is_a_warning_that_the_command_settles() -> None:
    made = preflight(
        _server("RTX 5090"), Ask(model=find_model("qwen3-32b"), quantization="awq", context=40960)
    )
    check = next(one for one in made.checks if one.id == "kv_fit")
    assert (made.verdict, check.result, check.fix) == (WARNINGS, Result.WARN, "fix")
    assert made.start is not None and made.served is not None
    assert f"--max-model-len {made.served.request.context}" in (made.start.serve or "")
    assert made.served.request.context < 40960


def test_more_users_than_fit_at_once_is_a_warning() -> None:
    ask = Ask(model=find_model("qwen3-32b"), quantization="awq", context=32768, parallel=4)
    made = preflight(_server("RTX 5090"), ask)
    check = next(one for one in made.checks if one.id == "kv_fit")
    assert (check.result, check.fix, check.values["together"]) == (Result.WARN, "fix_fewer", 1)


def test_occupied_gpu_gets_a_utilization_that_starts() -> None:
    made = preflight(_server("RTX 4090", held_gib=8), Ask(model=find_model("qwen3-4b")))
    check = next(one for one in made.checks if one.id == "vram_free")
    assert check.result is Result.WARN
    assert made.start is not None and "--gpu-memory-utilization 0.6" in (made.start.serve or "")


def test_old_cards_get_layer_split_with_the_cuda_12_build() -> None:
    made = preflight(_server("2x Tesla P100 12GB"), Ask())
    llama = next(one for one in made.alternatives if one.engine == "llama.cpp")
    assert llama.build == "cuda12"
    assert llama.command is not None and "-sm layer" in llama.command
    assert llama.why[-1].code == "preflight.instead.example"


def test_old_cards_are_told_which_file_of_the_model_fits() -> None:
    made = preflight(_server("2x Tesla P100 12GB"), Ask(model=find_model("qwen3-14b"), context=32768))
    llama = made.alternatives[0]
    assert (llama.engine, llama.build, llama.why[-1].code) == (
        "llama.cpp",
        "cuda12",
        "preflight.instead.model_fits",
    )
    assert llama.command is not None and "-sm layer" in llama.command


def test_live_system_counts_what_a_saved_machine_cannot_carry() -> None:
    machine = _server("8x H100 SXM")
    assert preflight(machine, Ask()).verdict is READY
    broken = ServerFacts(nvswitch=True, fabric_manager=False)
    made = preflight(machine, Ask(), broken)
    assert (made.verdict, _deciding(made, Result.FAIL)) == (NOT, {"fabric_manager"})


def test_uv_makes_any_python_enough() -> None:
    machine = _server("RTX 4090", python="3.8.10")
    made = preflight(machine, Ask(), ServerFacts(uv=True, nvswitch=False))
    check = next(one for one in made.checks if one.id == "python")
    assert (check.result, made.verdict) == (Result.WARN, WARNINGS)
    assert made.start is not None and made.start.install[0] == "uv venv --python 3.12 .venv"


def test_every_check_of_the_catalog_has_a_judge_and_sentences() -> None:
    assert {row.id for row in preflight_checks()} == set(JUDGES)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("row", SERVERS, ids=[row[0] for row in SERVERS])
def test_every_answer_can_be_written(row: tuple[str, Machine, dict[str, str]], lang: str) -> None:
    """A placeholder without a value would raise here; unknown figures are null."""
    document = build_preflight(row[1], Ask(**row[2]), lang=lang)  # type: ignore[arg-type]  # text options only
    assert b'"verdict"' in to_json(document)
    assert all(check.source for check in document.checks)
    for check in document.checks:
        if check.result in ("warn", "fail"):
            assert check.fix, check.id


def test_matrix_is_the_table_of_formats_and_generations() -> None:
    matrix = build_matrix()
    cells = {row.method: row.cells for row in matrix.rows}
    assert cells["awq"] | {"volta": "no", "turing": "yes", "hopper": "yes", "amd": "no"} == cells["awq"]
    assert cells["fp8"]["ampere"] == "weight_only" and cells["fp8"]["ada"] == "yes"
    assert cells["mxfp4"]["turing"] == "no" and cells["nvfp4"]["blackwell_rtx"] == "yes"
    assert cells["gguf"]["ada"] == "plugin" and cells["gptq"]["volta"] == "documented_only"
    assert len(matrix.rows) == len(vllm_quantization().methods)


def test_unknown_engine_build_and_version_are_refused() -> None:
    machine = _server("RTX 4090")
    for ask in (Ask(engine="vlm-serve"), Ask(build="tpu")):
        with pytest.raises(UnknownNameError):
            preflight(machine, ask)
    with pytest.raises(InputError):
        preflight(machine, Ask(target_version="0.1.0"))


def test_limits_of_a_process_are_read() -> None:
    text = (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max processes             96365                96365                processes \n"
        "Max open files            1024                 524288               files     \n"
        "Max locked memory         unlimited            unlimited            bytes     \n"
    )
    assert parse_limits(text) == {
        "Max processes": 96365,
        "Max open files": 1024,
        "Max locked memory": UNLIMITED,
    }


def test_modules_ports_and_errors_are_read_from_the_kernel() -> None:
    modules = (
        "nvidia_uvm 4812800 0 - Live 0x0\nnvidia 104071168 1 nvidia_uvm, Live 0x0\next4 1 0 - Live 0x0\n"
    )
    assert parse_modules(modules) == ("nvidia", "nvidia_uvm")
    assert parse_module_kind("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05") is True
    tcp = "  sl  local_address rem_address   st\n   0: 00000000:1F40 00000000:0000 0A 00000000\n"
    assert (parse_listening([tcp, None], 8000), parse_listening([tcp], 8001)) == (True, False)
    assert parse_xids("[1.0] NVRM: Xid (PCI:0000:65:00): 79, pid=1, GPU has fallen off the bus.") == (79,)
    assert [parse_iommu("quiet", ()), parse_iommu("iommu=pt", ("dmar0",)), parse_iommu("", ("dmar0",))] == [
        "off",
        "passthrough",
        "translated",
    ]
