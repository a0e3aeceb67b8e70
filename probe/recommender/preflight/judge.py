"""The whole judgement of one machine for one engine: checks in reading order, and the verdict."""

import enum
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from probe.catalog.engines import EngineRelease, EngineSpec, find_engine
from probe.catalog.preflight import PreflightCheck, preflight_checks
from probe.engines.request import Request
from probe.engines.vllm_budget import default_utilization, gpus_of
from probe.engines.vllm_requirements import has_code_for
from probe.machine import Machine
from probe.machine.server import ServerFacts
from probe.recommender.preflight import (
    check_driver,
    check_gpus,
    check_host,
    check_links,
    check_model,
    check_other,
    check_system,
)
from probe.recommender.preflight.alternatives import Alternative, alternatives, gguf_answer
from probe.recommender.preflight.commands import Start, start
from probe.recommender.preflight.releases import (
    fitting_build,
    fitting_release,
    newest_release,
    of_build,
    release_of_build,
)
from probe.recommender.preflight.serving import Served, served, weights_alone
from probe.recommender.preflight.situation import Ask, Check, Result, Situation

Judge = Callable[[Situation], Check | None]
_MODULES: Final = (check_system, check_driver, check_gpus, check_links, check_model, check_host)
JUDGES: Final[Mapping[str, Judge]] = {
    name.removeprefix("judge_"): function
    for module in _MODULES
    for name, function in vars(module).items()
    if name.startswith("judge_")
}
# What a saved Machine cannot carry: from one, these are listed as unknown and do not count.
_LIVE_ONLY: Final = frozenset({"shm", "fabric_manager", "nouveau", "nvidia_module", "compute_mode",
                               "driver_mismatch"})  # fmt: skip
_OF_NVIDIA: Final = frozenset({"gpu_present", *(
    name.removeprefix("judge_")
    for module in (check_driver, check_gpus, check_links)
    for name in vars(module)
    if name.startswith("judge_")
)}) - {"env_cuda"}  # fmt: skip


class Verdict(enum.Enum):
    """May this server install and serve."""

    READY = "ready"
    READY_WITH_WARNINGS = "ready_with_warnings"
    NOT_READY = "not_ready"
    CANNOT_TELL = "cannot_tell"


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `start` is what to type; None where nothing would work."""

    engine: EngineSpec
    release: EngineRelease | None
    verdict: Verdict
    checks: tuple[Check, ...]
    served: Served | None = None
    start: Start | None = None
    alternatives: tuple[Alternative, ...] = ()


def preflight(machine: Machine, ask: Ask, server: ServerFacts | None = None) -> Preflight:
    """Judge a machine before the engine is installed.

    Args:
        server: what only the live system says; None for a saved machine, whose checks
            of that kind are then unknown and do not count.

    Raises:
        UnknownNameError: no such engine or weight format.
        InputError: the asked version is older than every one that was examined.
    """
    engine = find_engine(ask.engine)
    situation = _situation(machine, ask, engine, server)
    made = tuple(_judged(situation))
    verdict = _verdict(made)
    works = verdict is not Verdict.NOT_READY
    return Preflight(
        engine=engine,
        release=situation.release,
        verdict=verdict,
        checks=made,
        served=situation.served,
        start=start(situation) if works else None,
        alternatives=() if verdict is Verdict.READY else alternatives(situation, made),
    )


def _situation(machine: Machine, ask: Ask, engine: EngineSpec, server: ServerFacts | None) -> Situation:
    build = fitting_build(engine.id, machine) if check_other.is_soft(engine) else None
    if build is not None:
        built = release_of_build(build, ask.target_version or engine.newest or "")
        return Situation(
            machine, ask, engine, newest=built, release=built, server=server, gguf=gguf_answer(machine, ask)
        )
    newest = newest_release(engine, ask.target_version)
    if newest is not None and ask.build is not None:
        newest = of_build(newest, ask.build)
    release = newest
    gpus = [device for device in machine.usable_gpus() if device.vendor == "nvidia"]
    if ask.target_version is None and ask.build is None:
        release = fitting_release(newest, machine, gpus)
    made = _served(machine, ask, release) if engine.id == "vllm" else None
    return Situation(machine, ask, engine, newest=newest, release=release, server=server, served=made)


def _served(machine: Machine, ask: Ask, release: EngineRelease | None) -> Served | None:
    """The wished model on the GPUs that the release has code for; None without any."""
    if ask.model is None:
        return None
    kv_type = ask.kv_type or "f16"
    wanted = Request(context=ask.context, parallel=ask.parallel, kv_type_k=kv_type, kv_type_v=kv_type)
    if ask.build is not None:
        return weights_alone(ask.model, ask.quantization, wanted)
    able = {
        f"gpu{device.index}"
        for device in machine.usable_gpus()
        if release is not None and has_code_for(release, machine, device)
    }
    gpus = tuple(gpu for gpu in gpus_of(machine) if gpu.device in able)
    if not gpus:
        return None
    share = default_utilization(release.version if release else None)
    return served(ask.model, gpus, wanted, quantization=ask.quantization, utilization=share)


def _judged(situation: Situation) -> list[Check]:
    found = []
    for row in preflight_checks():
        if not _applies(row.id, situation):
            continue
        made = check_other.judge(row.id, situation, JUDGES[row.id])
        if made is not None:
            found.append(msgspec.structs.replace(made, blocking=_blocks(row, made, situation)))
    return found


def _applies(name: str, situation: Situation) -> bool:
    """Checks of NVIDIA's parts only where the build needs them."""
    if name in _OF_NVIDIA and situation.ask.build is not None:
        return name == "gpu_present" and situation.ask.build != "cpu"
    return check_other.asks_for(name, situation.engine)


def _blocks(row: PreflightCheck, made: Check, situation: Situation) -> bool:
    """Whether the result counts: what a saved machine cannot carry does not."""
    if made.result is Result.UNKNOWN and situation.server is None and row.id in _LIVE_ONLY:
        return False
    if row.id == "cpu_isa":
        return situation.ask.build == "cpu" or bool(situation.engine.required_isa)
    if row.blocking == "several_gpus":
        return situation.gpus_used > 1
    if row.blocking == "with_model":
        return situation.ask.model is not None
    return row.blocking == "always"


def _verdict(checks: tuple[Check, ...]) -> Verdict:
    """A blocking fail, else a blocking unknown, else the worst of the rest."""
    blocking = {check.result for check in checks if check.blocking}
    if Result.FAIL in blocking:
        return Verdict.NOT_READY
    if Result.UNKNOWN in blocking:
        return Verdict.CANNOT_TELL
    if any(check.result in (Result.WARN, Result.FAIL) for check in checks):
        return Verdict.READY_WITH_WARNINGS
    return Verdict.READY
