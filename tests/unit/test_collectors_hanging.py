"""A source that hangs, floods or lies delays nothing beyond the deadline and hides no other source."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from probe.collectors.answers import PYTHON, Failure, ProgramOutput
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host, LocalHost
from probe.collectors.run import COLLECTORS
from probe.machine import AttemptResult, Cpu, Machine
from tests.fakes.hosts import TreeHost, on, pci_card
from tests.fakes.nvml_cards import RTX_4090, at
from tests.fakes.nvml_library import FakeNvmlLibrary, installed
from tests.fakes.patience import HANG_S, not_held_up, scan_around, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="FIFOs and process groups are of POSIX")
ROOT = Path(__file__).parents[2]


def fifo(root: Path, path: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)


def attempt_results(machine: Machine) -> dict[str, AttemptResult]:
    return {attempt.source: attempt.result for attempt in machine.attempts}


@pytest.mark.parametrize(
    "path",
    [
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/self/cgroup",
        "/etc/os-release",
        "/proc/driver/nvidia/version",
        "/sys/bus/pci/devices/0000:01:00.0/class",
        "/sys/bus/pci/devices/0000:01:00.0/max_link_speed",
        "/sys/devices/system/node/node0/meminfo",
    ],
)
def test_fifo_in_place_of_a_file_costs_that_file_alone(tmp_path: Path, path: str) -> None:
    host = TreeHost(
        tmp_path,
        {
            "/etc/os-release": "NAME=Ubuntu\nVERSION_ID=24.04\n",
            "/sys/devices/system/node/node0/cpulist": "0-7\n",
            **pci_card("0000:01:00.0"),
            **pci_card("0000:02:00.0"),
        },
    )
    fifo(tmp_path, path)
    with installed(FakeNvmlLibrary(RTX_4090)):
        machine = scan_around(host, frozenset())
    assert AttemptResult.TIMEOUT not in attempt_results(machine).values()
    assert len(machine.accelerators) == 2
    assert machine.memory.total_bytes is not None
    assert machine.cpu.usable_cores is not None


def test_fifo_is_refused_at_once(tmp_path: Path) -> None:
    fifo(tmp_path, "/sys/file")
    answer = LocalHost(str(tmp_path)).read_text("/sys/file")
    assert answer == Failure(AttemptResult.FAILED, "not a regular file")


def test_device_files_are_not_read() -> None:
    assert isinstance(LocalHost().read_bytes("/dev/zero"), Failure)


def test_file_without_end_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    answer = LocalHost(str(tmp_path)).read_text("/big", limit_bytes=50_000)
    assert isinstance(answer, Failure)
    assert answer.result is AttemptResult.FAILED


def test_collector_that_hangs_is_abandoned_named_and_keeps_what_it_found(tmp_path: Path) -> None:
    never = threading.Event()

    def hangs(host: Host) -> Facts:
        yield Found(Cpu(laptop=True), "before the hang")
        ask(host, "dead disk", lambda: never.wait(HANG_S) and "")
        yield Found(Cpu(laptop=False), "after the hang")

    try:
        machine = scan_around(
            TreeHost(tmp_path),
            {"dead disk"},
            collectors=(*COLLECTORS, ("dead disk", hangs)),
            until=lambda machine: machine.cpu.laptop is not None,
        )
    finally:
        never.set()
    assert machine.cpu.laptop is True
    assert machine.cpu.brand == "AMD Ryzen 7 5700X 8-Core Processor"
    assert attempt_results(machine)["dead disk"] is AttemptResult.TIMEOUT


def test_collector_that_raises_is_data(tmp_path: Path) -> None:
    def breaks(host: Host) -> Facts:
        yield Found(Cpu(laptop=True), "before")
        raise ZeroDivisionError("seen nowhere")

    machine = scan_around(TreeHost(tmp_path), frozenset(), collectors=(*COLLECTORS, ("broken", breaks)))
    assert machine.cpu.laptop is True
    (attempt,) = [attempt for attempt in machine.attempts if attempt.source == "broken"]
    assert (attempt.result, attempt.code) == (AttemptResult.FAILED, "collector_failed")
    assert attempt.detail == "ZeroDivisionError: seen nowhere"


def test_driver_that_hangs_at_the_second_card_keeps_both(tmp_path: Path) -> None:
    """The first one whole, the second by name and address, marked as not answered."""
    never = threading.Event()
    asked: list[bool] = []

    def hang(*_: object) -> int:
        asked.append(True)
        never.wait(HANG_S)
        return 999

    stuck = {**at(RTX_4090, 0x41), "nvmlDeviceGetMemoryInfo_v2": hang}
    with installed(FakeNvmlLibrary(RTX_4090, stuck)):
        try:
            machine = scan_around(TreeHost(tmp_path), {"nvml"}, until=lambda _: bool(asked))
        finally:
            never.set()
        # Before the library is taken away.
        assert wait_until(lambda: "probe: nvml" not in {thread.name for thread in threading.enumerate()})
    assert [(card.pci_address, card.state_reason) for card in machine.accelerators] == [
        ("0000:01:00.0", None),
        ("0000:41:00.0", "nvml_timeout"),
    ]
    assert attempt_results(machine)["nvml"] is AttemptResult.TIMEOUT
    assert len(machine.usable_gpus()) == 1


def test_driver_that_hangs_at_once_leaves_the_card_of_the_bus(tmp_path: Path) -> None:
    never = threading.Event()

    class StuckHost(TreeHost):
        def nvml(self) -> Failure:
            never.wait(HANG_S)
            return Failure(AttemptResult.ABSENT)

    host = StuckHost(
        tmp_path,
        pci_card("0000:01:00.0"),
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    try:
        machine = scan_around(host, {"nvml"})
    finally:
        never.set()
    assert [card.state_reason for card in machine.accelerators] == ["nvml_timeout"]


def test_program_that_sleeps_is_killed_in_time() -> None:
    with not_held_up():
        answer = LocalHost().run(("sleep", str(HANG_S)), timeout_s=0.3)
    assert isinstance(answer, Failure)
    assert answer.result is AttemptResult.TIMEOUT


def test_program_whose_child_keeps_the_pipe_open_does_not_hold_us() -> None:
    """The shell ends at once, its child keeps the output open."""
    with not_held_up():
        answer = LocalHost().run(("sh", "-c", f"sleep {HANG_S} & echo done"), timeout_s=0.5)
    assert isinstance(answer, Failure)
    assert answer.result is AttemptResult.TIMEOUT


def test_program_that_prints_without_end_is_killed_at_the_limit() -> None:
    answer = LocalHost().run(("yes",), timeout_s=HANG_S, limit_bytes=200_000)
    assert isinstance(answer, Failure)
    assert answer.detail == "yes printed more than 200000 bytes"


def test_program_reads_no_input() -> None:
    answer = LocalHost().run(("cat",), timeout_s=HANG_S)
    assert answer == ProgramOutput(exit_code=0, stdout="", stderr="")


def test_program_output_in_a_foreign_code_page_survives() -> None:
    program = "import sys; sys.stdout.buffer.write('모델'.encode('cp949') + b' RTX 4090'); sys.exit(3)"
    answer = LocalHost().run((PYTHON, "-c", program), timeout_s=HANG_S)
    assert isinstance(answer, ProgramOutput)
    assert answer.exit_code == 3
    assert answer.stdout.endswith(" RTX 4090")


def test_missing_program_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all folders of PATH may be read; one that may not could hold it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = LocalHost().run(("no-such-program-here",))
    assert answer == Failure(AttemptResult.ABSENT, "no-such-program-here is not installed")


def test_process_ends_promptly_although_a_collector_still_hangs(tmp_path: Path) -> None:
    script = tmp_path / "hang.py"
    script.write_text(
        "import time\n"
        "from probe.collectors.facts import Found\n"
        "from probe.collectors.host import LocalHost\n"
        "from probe.collectors.run import COLLECTORS, scan_machine\n"
        "def hangs(host):\n"
        f"    time.sleep({2 * HANG_S})\n"
        "    yield\n"
        "machine = scan_machine(LocalHost(), deadline_s=3, collectors=(*COLLECTORS, ('stuck', hangs)))\n"
        "print(machine.cpu.brand is not None, machine.attempts[-1].result.value)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["True", "timeout"]


def test_library_that_guesses_the_processor_is_asked_last_and_in_a_child(tmp_path: Path) -> None:
    """Only where the system's own table has no name; its answer is taken from the child's last line."""

    class GuessHost(TreeHost):
        asked: tuple[str, ...] = ()

        def run(self, arguments, *, timeout_s=3.0, limit_bytes=0):  # type: ignore[no-untyped-def]
            self.asked = tuple(arguments)
            return ProgramOutput(
                exit_code=0,
                stdout='warning\n{"brand_raw": "Loongson-3A6000", "flags": ["avx2"]}\n',
            )

    named = GuessHost(tmp_path)
    assert scan_around(named, frozenset()).cpu.brand == "AMD Ryzen 7 5700X 8-Core Processor"
    assert named.asked == ()
    nameless = GuessHost(tmp_path, {"/proc/cpuinfo": "processor\t: 0\n"}, platform=on(architecture="x86_64"))
    machine = scan_around(nameless, frozenset())
    assert nameless.asked[0] == PYTHON
    assert (machine.cpu.brand, machine.cpu.isa) == ("Loongson-3A6000", ("avx2",))
