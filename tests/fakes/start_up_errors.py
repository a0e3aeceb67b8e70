# ruff: noqa: E501 - messages stand as engines print them
"""Start-up errors as engines print them: (text, machine, the error's id, what the answer must say)."""

from functools import cache
from pathlib import Path

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.collectors.host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import ForeignProcess, Machine, NvidiaDriver
from probe.units import GIB

FOLDER = Path(__file__).parents[1] / "machines"


@cache
def recorded(name: str) -> Machine:
    return enrich(scan_machine(RecordedHost(FOLDER / name), deadline_s=30))


@cache
def named(spec: str, driver: str | None = None) -> Machine:
    machine = enrich(from_spec(spec))
    if driver is None:
        return machine
    return msgspec.structs.replace(machine, nvidia=NvidiaDriver(driver_version=driver))


def with_free(machine: Machine, free_bytes: int, *processes: ForeignProcess) -> Machine:
    gpu = msgspec.structs.replace(
        machine.accelerators[0], memory_free_bytes=free_bytes, processes=tuple(processes)
    )
    return msgspec.structs.replace(machine, accelerators=(gpu, *machine.accelerators[1:]))


RTX_4090 = ("RTX 4090; 64GB", "580.95.05")
OLD_DRIVER = ("RTX 4090; 64GB", "535.183.01")
P100 = ("2x P100 16GB; 64GB", "535.183.01")
V100 = ("V100 PCIe 16GB; 64GB", "535.183.01")
T4 = ("T4; 32GB", "580.95.05")

CASES = [
    (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine.",
        RTX_4090,
        "vllm_no_kv_memory",
        ("24.0 GiB", "--max-num-seqs"),
    ),
    # with the slip of several releases
    (
        "To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed",
        RTX_4090,
        "vllm_kv_too_small",
        ("-1 takes the largest",),
    ),
    (
        "ValueError: To serve at least one request with the model's max seq len (131072), (16.00 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (7.45 GiB). Based on the available memory, "
        "the estimated maximum model length is 61024.",
        RTX_4090,
        "vllm_kv_too_small",
        ("--max-model-len 61024", "--kv-cache-dtype fp8"),
    ),
    (
        "The model's max seq len (32768) is larger than the maximum number of tokens that can be stored in KV "
        "cache (14928). Try increasing `gpu_memory_utilization`",
        T4,
        "vllm_kv_too_small",
        ("--max-model-len 14928",),
    ),
    # as a screen breaks it
    (
        "ValueError: Free memory on device cuda:0 (3.27/15.98 GiB) on startup\nis less than desired GPU memory "
        "utilization (0.9, 14.39 GiB).",
        T4,
        "vllm_free_memory",
        ("11.1 GiB are missing", "--gpu-memory-utilization 0.17"),
    ),
    (
        "Free memory on device cuda:0 (0.9/23.43 GiB) on startup is less than desired GPU memory utilization "
        "(0.92, 21.56 GiB).",
        RTX_4090,
        "vllm_free_memory",
        ("does not help",),
    ),
    (
        "AssertionError: Error in memory profiling. Initial free memory 20.1 GiB, current free memory 22.3 GiB.",
        RTX_4090,
        "vllm_memory_profiling",
        ("one after the other",),
    ),
    (
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU "
        "has compute capability 7.5.",
        T4,
        "bfloat16_unsupported",
        ("Tesla T4", "7.5", "--dtype half"),
    ),
    (
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        P100,
        "no_kernel_image",
        ("Tesla P100-PCIE-16GB", "6.0", "535.183.01", "Use llama.cpp instead"),
    ),
    (
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        V100,
        "no_kernel_image",
        ("7.0", "pip install vllm==0.19.1"),
    ),
    (
        "CUDA error: no kernel image is available for execution on the device",
        ("RTX 5090; 64GB", "570.86.10"),
        "no_kernel_image",
        ("12.0", "newer package", "Update the driver to 580"),
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update your GPU",
        OLD_DRIVER,
        "driver_too_old",
        ("535.183.01", "CUDA up to 12.2", "Update the driver to 580", "pip install vllm==0.19.1"),
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020).",
        RTX_4090,
        "driver_too_old",
        ("runs CUDA 13, so the error comes from elsewhere",),
    ),
    (
        "The NVIDIA driver on your system is too old (found version 12020)",
        V100,
        "driver_too_old",
        ("not beyond the 580 branch", "vllm==0.19.1"),
    ),
    (
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0",
        ("RTX 3060 12GB; 32GB", "470.199.02"),
        "driver_insufficient",
        ("470.199.02", "Update the driver to 580"),
    ),
    (
        "ValueError: Total number of attention heads (40) must be divisible by tensor parallel size (3).",
        P100,
        "vllm_heads_divide",
        ("multiple of the tensor parallel size (3)", ": 1, 2."),
    ),
    (
        "WARNING [custom_all_reduce.py] Custom allreduce is disabled because it's not supported on more than two "
        "PCIe-only GPUs. To silence this warning, specify disable_custom_all_reduce=True explicitly.",
        RTX_4090,
        "vllm_custom_allreduce",
        ("Nothing needs to be done",),
    ),
    (
        "FP8 KV cache is not supported by the Triton attention backend on Tesla T4 (compute capability 7.5)",
        T4,
        "vllm_fp8_kv",
        ("Leave out `--kv-cache-dtype fp8`",),
    ),
    (
        "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory",
        RTX_4090,
        "libcudart_missing",
        ("libcudart.so.13", "fresh environment"),
    ),
    (
        "OSError: libcuda.so.1: cannot open shared object file: No such file or directory",
        RTX_4090,
        "libcuda_missing",
        ("belongs to the driver", "container's `--gpus`"),
    ),
    (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
        "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized",
        ("8x H100 SXM; 2TB", "580.126.20"),
        "cuda_802",
        ("nvidia-fabricmanager", "(580.126.20)"),
    ),
    (
        "Error 804: forward compatibility was attempted on non supported HW (Triggered internally at CUDAFunctions)",
        OLD_DRIVER,
        "cuda_803_804",
        ("CUDA 12.2 or older",),
    ),
    (
        "CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env variable "
        "CUDA_VISIBLE_DEVICES after program start.",
        RTX_4090,
        "cuda_999",
        ("nvidia_uvm",),
    ),
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 22.78 GiB. GPU 0 has a total capacity of "
        "31.47 GiB of which 12.73 GiB is free. Including non-PyTorch memory, this process has 18.73 GiB memory in use.",
        ("RTX 5090; 64GB", None),
        "cuda_out_of_memory",
        ("RTX 5090", "10.0 GiB are missing"),
    ),
    (
        "CUDA out of memory. Tried to allocate 2.26 GiB (GPU 0; 6.00 GiB total capacity; 781.59 MiB already "
        "allocated; 3.03 GiB free; 1.24 GiB reserved in total by PyTorch)",
        RTX_4090,
        "cuda_out_of_memory",
        ("expandable_segments",),
    ),
    (
        "CUDA out of memory. Tried to allocate 55.57 GiB. GPU 0 has a total capacty of 12.00 GiB of which 9.02 GiB "
        "is free.",
        RTX_4090,
        "cuda_out_of_memory",
        ("all of it is 12.0 GiB",),
    ),
    # A line that was cut off, as people paste it.
    ("CUDA out of memory", RTX_4090, "cuda_out_of_memory", ("RTX 4090", "smaller quantization")),
    ("RuntimeError: CUDA error: out of memory", RTX_4090, "cuda_out_of_memory", ("RTX 4090",)),
    ("no kernel image is available", P100, "no_kernel_image", ("6.0", "Use llama.cpp instead")),
    (
        # What a 70B model in 16 bits says on a GH200: it runs with managed memory.
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB. GPU 0 has a total capacity of "
        "95.00 GiB of which 68.06 MiB is free.",
        named("GH200 96GB; 480GB LPDDR5X"),
        "cuda_out_of_memory",
        ("RAM: 480.0 GiB", "rmm.reinitialize(managed_memory=True)", "GGML_CUDA_ENABLE_UNIFIED_MEMORY=1"),
    ),
    (
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a "
        "driver from http://www.nvidia.com/Download/index.aspx",
        named("i5-8500; 16GB"),
        "cuda_no_device",
        ("No NVIDIA GPU is known", "llama.cpp or Ollama on the processor"),
    ),
    (
        "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
        recorded("docker-without-nvidia-runtime"),
        "cuda_no_device",
        ("docker run --gpus all",),
    ),
    (
        "error: externally-managed-environment\n\n× This environment is externally managed",
        T4,
        "externally_managed",
        ("python3 -m venv",),
    ),
    ("AssertionError: Torch not compiled with CUDA enabled", RTX_4090, "torch_without_cuda", ("CUDA build",)),
    (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9866.00 MiB on device 1: cudaMalloc failed: out of "
        "memory\nggml_gallocr_reserve_n: failed to allocate CUDA1 buffer of size 10345253120",
        with_free(named("2x RTX 3060 12GB"), 8 * GIB),
        "llama_gpu_buffer",
        ("9.6 GiB were asked for", "-ngl"),
    ),
    (
        "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'gemma4'",
        RTX_4090,
        "llama_unknown_architecture",
        ("`gemma4`", "Update llama.cpp or Ollama"),
    ),
    (
        "gguf_init_from_reader: invalid magic characters: 'Entr', expected 'GGUF'",
        RTX_4090,
        "llama_invalid_magic",
        ("download it again",),
    ),
    (
        "tensor 'blk.20.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete",
        RTX_4090,
        "llama_corrupt",
        ("compare its size",),
    ),
    ("llama_init_from_model: V cache quantization requires flash_attn", T4, "llama_v_cache", ("-fa on",)),
    (
        "Error: model requires more system memory (9.8 GiB) than is available (7.1 GiB)",
        named("i5-8500; 16GB"),
        "ollama_system_memory",
        ("16.0 GiB", "2.7 GiB are missing"),
    ),
    (
        "Error: model requires more system memory (40.2 GiB) than is available (7.1 GiB)",
        named("i5-8500; 16GB"),
        "ollama_system_memory",
        ("all of it is 16.0 GiB",),
    ),
    (
        'level=INFO source=gpu.go:396 msg="no compatible GPUs were discovered"',
        named("i5-8500; 16GB"),
        "ollama_no_gpu",
        ("No NVIDIA GPU", "on the processor"),
    ),
    (
        "Error: llama runner process has terminated: exit status 2",
        T4,
        "ollama_runner",
        ("journalctl -u ollama",),
    ),
    (
        "Error: unable to load model: /root/.ollama/blobs/sha256-6a0746a1ec1a",
        T4,
        "ollama_load",
        ("ollama pull",),
    ),
    (
        "Illegal instruction (core dumped)",
        recorded("linux-desktop-i5-8500"),
        "illegal_instruction",
        ("no AVX-512",),
    ),
    (
        "Failed to initialize NVML: Driver/library version mismatch",
        recorded("linux-rtx3090-driver-mismatch"),
        "nvml_mismatch",
        ("Restart the machine",),
    ),
    (
        "RuntimeError: Failed to infer device type",
        recorded("docker-without-nvidia-runtime"),
        "vllm_no_device",
        ("docker run --gpus all",),
    ),
    (
        "RuntimeError: Failed to infer device type",
        recorded("linux-rtx3060-module-not-loaded"),
        "vllm_no_device",
        ("No driver is in charge", "Install the NVIDIA driver"),
    ),
    (
        "RuntimeError: Failed to infer device type",
        recorded("linux-8x-mi300x"),
        "vllm_no_device",
        ("ROCm build",),
    ),
    (
        "AssertionError: Torch not compiled with CUDA enabled",
        named("M4 Max 64GB"),
        "torch_without_cuda",
        ("No NVIDIA GPU", "the device `mps`"),
    ),
    (
        'msg="no compatible GPUs were discovered"',
        recorded("linux-arc-b580-xe"),
        "ollama_no_gpu",
        ("Vulkan",),
    ),
    (
        "The NVIDIA driver on your system is too old (found version 12020)",
        recorded("linux-8x-mi300x"),
        "driver_too_old",
        ("run this where the error came up",),
    ),
    (
        "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 75.",
        T4,
        "vllm_quantization_too_new",
        ("compute capability 7.5", "--matrix"),
    ),
    (
        "ValueError: Model architectures ['Qwen3NextForCausalLM'] are not supported for now. Supported architectures:",
        RTX_4090,
        "vllm_unknown_architecture",
        ("Qwen3NextForCausalLM", "Update vLLM"),
    ),
    (
        "ValueError: User-specified max_model_len (262144) is greater than the derived max_model_len (max_position_embeddings=40960 or model_max_length=None in model's config.json).",
        RTX_4090,
        "vllm_longer_than_trained",
        ("262,144", "--max-model-len 40960"),
    ),
    (
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        RTX_4090,
        "vllm_engine_core",
        ("further up",),
    ),
    (
        "ValueError: The checkpoint you are trying to load has model type `qwen3_next` but Transformers does not recognize this architecture.",
        RTX_4090,
        "transformers_unknown_model",
        ("qwen3_next", "pip install -U transformers"),
    ),
    (
        "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama/Llama-3.1-8B.",
        RTX_4090,
        "hub_gated",
        ("HF_TOKEN",),
    ),
    (
        "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.32' not found (required by vllm/_C.abi3.so)",
        RTX_4090,
        "libc_too_old",
        ("GLIBC_2.32", "container image"),
    ),
    (
        "ImportError: /venv/lib/python3.12/site-packages/vllm/_C.abi3.so: undefined symbol: _ZN3c1013MessageLoggerC1EPKciib",
        RTX_4090,
        "undefined_symbol",
        ("fresh environment",),
    ),
    (
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error",
        ("2x RTX 4090; 64GB", "580.95.05"),
        "nccl_failed",
        ("Usable GPUs here: 2", "NCCL_DEBUG=INFO"),
    ),
    ("Bus error (core dumped)", RTX_4090, "shared_memory_short", ("--ipc=host",)),
    ("OSError: [Errno 98] Address already in use", RTX_4090, "port_in_use", ("ss -ltnp",)),
    ("OSError: [Errno 28] No space left on device", RTX_4090, "disk_full", ("HF_HOME",)),
]
