"""A model that no single server holds: how many equal ones hold it, and the commands on each."""

import msgspec
import pytest

from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.machine import Host, Machine, OperatingSystem, OsFamily
from probe.recommender.preflight.nodes import across_nodes
from probe.recommender.preflight.situation import Ask


def _server(name: str | None, spec: str = "2x A100 PCIe 40GB") -> Machine:
    machine = from_spec(spec)
    gpus = tuple(
        msgspec.structs.replace(gpu, memory_free_bytes=gpu.memory_total_bytes) for gpu in machine.accelerators
    )
    host = Host(os=OperatingSystem(family=OsFamily.LINUX), name=name)
    return msgspec.structs.replace(machine, host=host, accelerators=gpus)


def _ask(model: str, **rest: object) -> Ask:
    return Ask(model=find_model(model), quantization="bf16", **rest)  # type: ignore[arg-type]  # by name


def test_the_fewest_equal_servers_hold_the_model() -> None:
    """Llama 3.3 70B in 16 bits weighs 131 GiB; two A100 of 40 GiB hold 72 GiB a server."""
    servers = [_server(name) for name in ("a", "b", "c", "d")]
    found = across_nodes(servers, _ask("llama-3.3-70b"))
    assert found is not None
    assert found.names == ("a", "b")
    assert (found.answer.parallel.tp, found.answer.parallel.pp) == (2, 2)
    assert found.answer.fits is True
    assert found.commands[:2] == (
        "[a] ray start --head --port=6379",
        "[b] ray start --address=a:6379",
    )
    assert found.commands[-1].startswith("[a] vllm serve ")
    assert "--tensor-parallel-size 2 --pipeline-parallel-size 2" in found.commands[-1]
    assert "--distributed-executor-backend ray --max-model-len 8192" in found.commands[-1]


def test_servers_without_a_name_are_counted() -> None:
    found = across_nodes([_server(None), _server(None)], _ask("llama-3.3-70b"))
    assert found is not None and found.names == ("1", "2")


@pytest.mark.parametrize(
    "servers",
    [
        # One alone, two of different cards, two without cards, too few.
        [_server("a")],
        [_server("a"), _server("b", "2x RTX 4090")],
        [_server("a", "Core i5-8500"), _server("b", "Core i5-8500")],
        [_server("a", "RTX 3060 12GB"), _server("b", "RTX 3060 12GB")],
    ],
    ids=["one", "different", "none", "small"],
)
def test_servers_that_cannot_share_a_model_get_no_plan(servers: list[Machine]) -> None:
    assert across_nodes(servers, _ask("llama-3.3-70b")) is None


def test_without_a_model_or_for_another_build_there_is_nothing_to_divide() -> None:
    servers = [_server("a"), _server("b")]
    assert across_nodes(servers, Ask()) is None
    assert across_nodes(servers, _ask("llama-3.3-70b", build="rocm")) is None
    unknown = msgspec.structs.replace(find_model("llama-3.3-70b"), dimensions=None)
    assert across_nodes(servers, Ask(model=unknown)) is None
