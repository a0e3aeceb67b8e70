"""What a check sees: the machine, what was asked, the release that would be installed."""

import enum
from collections.abc import Sequence
from functools import cached_property

import msgspec

from probe.catalog.engines import EngineRelease, EngineSpec
from probe.catalog.model_spec import ModelSpec
from probe.engines.vllm_budget import parse_capability
from probe.engines.vllm_requirements import driver_of
from probe.errors import FactValue
from probe.machine import Accelerator, AcceleratorState, Machine, OsFamily
from probe.machine.server import ServerFacts
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate
from probe.recommender.preflight.serving import Served

ARM = ("aarch64", "arm64")


class Result(enum.Enum):
    """How a check ended. `fail` is what no flag of the printed command cures."""

    PASS = "pass"  # noqa: S105 - a result, no password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INFO = "info"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants to install and serve."""

    engine: str = "vllm"
    target_version: str | None = None
    build: str | None = None  # cpu, rocm, xpu; None: the package's own, for NVIDIA
    model: ModelSpec | None = None
    quantization: str | None = None
    context: int = 8192
    parallel: int = 1
    kv_type: str | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One judged point. Sentences: messages topic `preflight`, `<id>.title`, `.needs` and `.<fix>`.

    `observed` is written as the system writes it; None = could not be read.
    """

    id: str
    result: Result
    observed: str | None = None
    fix: str | None = None
    values: dict[str, FactValue] = {}
    blocking: bool = False
    cause: Reason | None = None  # said after the fix


class Situation:
    """One machine, one wish. Frozen by convention; parts that several checks need are computed once."""

    def __init__(
        self,
        machine: Machine,
        ask: Ask,
        engine: EngineSpec,
        *,
        newest: EngineRelease | None,
        release: EngineRelease | None,
        server: ServerFacts | None = None,
        served: Served | None = None,
        gguf: Estimate | None = None,
    ) -> None:
        self.machine = machine
        self.ask = ask
        self.engine = engine
        self.newest = newest
        self.release = release
        self.server = server
        self.served = served
        self.gguf = gguf

    @property
    def linux(self) -> bool:
        """Linux, WSL included."""
        return self.machine.host.os.family is OsFamily.LINUX

    @property
    def arm(self) -> bool:
        """A 64-bit Arm processor."""
        return (self.machine.cpu.architecture or "").lower() in ARM

    @property
    def windows(self) -> bool:
        """Windows itself; WSL counts as Linux."""
        return self.machine.host.os.family is OsFamily.WINDOWS

    @cached_property
    def driver_read(self) -> bool:
        """Whether the driver was looked at: a machine described in words says nothing about it."""
        return self.server is not None or driver_of(self.machine) is not None

    @cached_property
    def nvidia(self) -> tuple[Accelerator, ...]:
        """Every NVIDIA GPU, usable or not."""
        return tuple(device for device in self.machine.accelerators if device.vendor == "nvidia")

    @cached_property
    def usable(self) -> tuple[Accelerator, ...]:
        """The NVIDIA GPUs that a program may compute on now."""
        return tuple(device for device in self.nvidia if device.state is AcceleratorState.USABLE)

    @property
    def gpus_used(self) -> int:
        """GPUs of the answer, else all usable ones."""
        if self.served is not None and self.served.answer is not None:
            return self.served.answer.parallel.gpus
        return len(self.usable)

    @cached_property
    def lowest_capability(self) -> tuple[int, int] | None:
        """Of the GPUs that are looked at; None while one of them is unknown."""
        devices = self.usable or self.nvidia
        known = [parse_capability(device.compute_capability) for device in devices]
        if not known or any(pair is None for pair in known):
            return None
        return min(pair for pair in known if pair is not None)

    def state_reason(self, *codes: str) -> Accelerator | None:
        """The first NVIDIA GPU that is kept from us for one of these reasons."""
        return next((device for device in self.nvidia if device.state_reason in codes), None)


def check(
    check_id: str,
    result: Result,
    observed: str | None = None,
    /,
    *,
    fix: str | None = None,
    **values: FactValue,
) -> Check:
    """A check without its blocking mark, which the catalog's row decides."""
    return Check(id=check_id, result=result, observed=observed, fix=fix, values=values)


def passed(check_id: str, observed: str | None, /, **values: FactValue) -> Check:
    """Fine as it is."""
    return Check(id=check_id, result=Result.PASS, observed=observed, values=values)


def unknown(check_id: str, /, **values: FactValue) -> Check:
    """Could not be read: never taken for a pass."""
    return Check(id=check_id, result=Result.UNKNOWN, values=values)


def each(names: Sequence[str]) -> str:
    """Equal entries counted: `8 x NVIDIA A100`."""
    counted = {name: names.count(name) for name in names}
    return ", ".join(name if number == 1 else f"{number} x {name}" for name, number in counted.items())
