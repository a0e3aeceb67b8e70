"""CUDA_VISIBLE_DEVICES, which NVML ignores, and the proof by the CUDA driver itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.cuda_driver import parse_answer
from probe.collectors.cuda_mask import visible_devices
from probe.collectors.facts import CudaIdentity, VisibleDevices
from probe.collectors.run import scan_machine
from probe.machine import AcceleratorKind, AttemptResult, Machine
from tests.fakes.hosts import TreeHost
from tests.fakes.nvml_cards import P100, RTX_4090, at
from tests.fakes.nvml_library import FakeNvmlLibrary, installed

# Position on the bus: a slow card, then two equal fast ones.
CARDS = (
    CudaIdentity(index=0, uuid="GPU-aaaa1111", speed=1.0),
    CudaIdentity(index=1, uuid="GPU-bbbb2222", speed=9.0, slice_uuids=("MIG-cccc",)),
    CudaIdentity(index=2, uuid="GPU-bbbb3333", speed=9.0),
)
EQUAL = tuple(CudaIdentity(index=index, uuid=f"GPU-{index}", speed=5.0) for index in range(4))


@pytest.mark.parametrize(
    ("mask", "visible"),
    [
        ("", set()),
        ("-1", set()),
        ("NoDevFiles", set()),
        ("0,1", {0, 1}),
        ("0, 2", {0, 2}),
        ("1,-1,2", {1}),
        ("0,9,1", {0}),
        ("1,1", set()),
        ("GPU-2", {2}),
        ("GPU-", set()),  # the beginning of four names names none
    ],
)
def test_mask_over_equal_cards(mask: str, visible: set[int]) -> None:
    selection = visible_devices(VisibleDevices(cuda=mask), EQUAL)
    assert selection is not None
    assert (selection.visible, selection.assumed) == (frozenset(visible), False)


@pytest.mark.parametrize(
    ("mask", "order", "visible", "assumed"),
    [
        ("0", None, {1}, True),  # fastest first: the slow card at the bus's first place is CUDA's last
        ("2", None, {0}, True),
        ("0", "PCI_BUS_ID", {0}, False),
        ("0,1,2", None, {0, 1, 2}, False),
        ("GPU-aaaa", None, {0}, False),
        ("GPU-bbbb", None, set(), False),
        ("MIG-cccc", None, {1}, False),
        ("MIG-GPU-bbbb2222/1/0", None, {1}, False),
    ],
)
def test_mask_over_different_cards(mask: str, order: str | None, visible: set[int], assumed: bool) -> None:
    selection = visible_devices(VisibleDevices(cuda=mask, order=order), CARDS)
    assert selection is not None
    assert (selection.visible, selection.assumed) == (frozenset(visible), assumed)


def test_no_mask_is_no_selection() -> None:
    assert visible_devices(VisibleDevices(), CARDS) is None


def test_hidden_card_is_blocked_and_counted(tmp_path: Path) -> None:
    host = TreeHost(tmp_path, variables={"CUDA_VISIBLE_DEVICES": "1"})
    with installed(FakeNvmlLibrary(at(P100, 4), at(P100, 5))):
        machine = scan_machine(host, deadline_s=30)
    assert [(card.state.value, card.state_reason) for card in machine.accelerators] == [
        ("blocked", "hidden_by_mask"),
        ("usable", None),
    ]
    (attempt,) = [attempt for attempt in machine.attempts if attempt.source == "CUDA_VISIBLE_DEVICES"]
    assert attempt.detail == "2 on the machine, 1 visible to CUDA programs"
    assert attempt.code == "hidden_by_mask"
    assert machine.software.environment == {"CUDA_VISIBLE_DEVICES": "1"}


def prove(tmp_path: Path, answer: ProgramOutput | Failure) -> Machine:
    class ProvingHost(TreeHost):
        def run(
            self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 0
        ) -> ProgramOutput | Failure:
            assert "probe.collectors.cuda_child" in arguments
            return answer

    with installed(FakeNvmlLibrary(RTX_4090)):
        return scan_machine(ProvingHost(tmp_path), prove_cuda=True, deadline_s=30)


def printed(text: str) -> ProgramOutput:
    return ProgramOutput(exit_code=0, stdout=text + "\n")


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        ('{"version": 13000, "devices": [{"name": "RTX", "pci_bus": 1, "pci_device": 0}]}', "usable", None),
        ('{"error": ["cuInit", 802]}', "unusable", "fabric_manager_missing"),
        ('{"error": ["cuInit", 803]}', "unusable", "driver_mismatch"),
        ('{"error": ["cuInit", 34]}', "unusable", "cuda_stub_library"),
        ('{"error": ["cuInit", 999]}', "unusable", "cuda_init_failed"),
        ('{"error": ["cuInit", 12345]}', "unusable", "cuda_init_failed"),
        ('{"error": ["load", null]}', "usable", None),
        (
            '{"version": 13000, "devices": [{"pci_bus": 1, "pci_device": 0, "error": ["cuCtxCreate", 2]}]}',
            "blocked",
            "cuda_out_of_memory",
        ),
    ],
)
def test_cuda_itself_decides_whether_a_card_computes(
    tmp_path: Path, answer: str, state: str, reason: str | None
) -> None:
    (card,) = prove(tmp_path, printed(answer)).accelerators
    assert (card.state.value, card.state_reason) == (state, reason)


def test_driver_that_crashes_the_child_is_told(tmp_path: Path) -> None:
    machine = prove(tmp_path, ProgramOutput(exit_code=-11, stdout=""))
    (attempt,) = [attempt for attempt in machine.attempts if attempt.source == "cuda driver"]
    assert (attempt.result, attempt.code) == (AttemptResult.FAILED, "cuda_init_failed")


def test_gpu_that_calls_itself_integrated_shares_ram(tmp_path: Path) -> None:
    answer = '{"version": 13000, "devices": [{"pci_bus": 1, "pci_device": 0, "integrated": 1}]}'
    machine = prove(tmp_path, printed(answer))
    (card,) = machine.accelerators
    assert (card.kind, card.memory_shared) == (AcceleratorKind.UNIFIED, True)
    assert card.memory_total_bytes == machine.memory.total_bytes


def test_output_that_is_no_answer() -> None:
    assert parse_answer("Segmentation fault") is None
    assert parse_answer("") is None


def test_child_answers_on_a_machine_without_the_library() -> None:
    """Run for real: this interpreter, no CUDA driver or a working one."""
    from probe.collectors.answers import PYTHON
    from probe.collectors.host import LocalHost

    output = LocalHost().run((PYTHON, "-m", "probe.collectors.cuda_child"), timeout_s=30)
    assert isinstance(output, ProgramOutput)
    proof = parse_answer(output.stdout)
    assert proof is not None
    assert proof.error_code is not None or proof.devices is not None
