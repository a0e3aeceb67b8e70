"""Tools and files that hang, crash, flood or lie: none delays a scan or hides another source.

The tools here are real programs that misbehave, started as the real ones are.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.local_programs import run_program
from probe.collectors.run import scan_machine
from probe.machine import AttemptResult, Machine
from tests.fakes.hosts import TreeHost, on, pci_card
from tests.fakes.patience import HANG_S, endless_file, scan_around

pytestmark = pytest.mark.skipif(os.name != "posix", reason="scripts and FIFOs are of POSIX")
ROOT = Path(__file__).parents[2]
BUS = "/sys/bus/pci/devices"
SYSTEM = "/System/Library/CoreServices"

LIES = {
    "card0": {"VRAM Total Memory (B)": "9" * 26, "PCI Bus": "0000:83:00.0"},
    "gpu_data": [{"bus": {"bdf": "0000:83:00.0"}, "vram": {"size": {"value": 1e300, "unit": "GB"}}}],
    "SPHardwareDataType": [{"physical_memory": "999999999999999999 GB"}],
    "SPDisplaysDataType": [{"sppci_model": "Apple M9", "sppci_cores": "-40"}],
}
MISBEHAVIOUR = {
    "hangs": "read line < ENDLESS",
    "hangs with a child": "read line < ENDLESS & echo started",
    "crashes": "kill -SEGV $$",
    "fails": "echo 'cannot open device' >&2; exit 3",
    "floods": "exec yes 0123456789abcdef",
    "says nothing": "exit 0",
    "prints bytes": r"printf '\377\376\000\001{[\000'",
    "prints another tool's answer": "echo '<html><title>404</title></html>'",
    "lies": f"echo '{json.dumps(LIES)}'",
}


class ScriptHost(TreeHost):
    """Files under a folder; every program is the one misbehaving script."""

    script: str = ""
    programs: tuple[str, ...] = ()
    values: dict[str, int | str]
    starters: frozenset[str] = frozenset()  # collectors that start a program here

    def __init__(self, root: Path, files: Mapping[str, str] | None = None, **rest: Any) -> None:
        super().__init__(root, files, **rest)
        self.begun: set[str] = set()

    @property
    def endless(self) -> Path:
        return Path(self._root) / "endless"

    def find_program(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def sysctl(self, name: str) -> int | str | Failure:
        return self.values.get(name, Failure(AttemptResult.ABSENT, "no such name"))

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        # Without the limit of the one program: the deadline of the whole scan is under test.
        self.begun.add(threading.current_thread().name.removeprefix("probe: "))
        script = self.script.replace("ENDLESS", f"'{self.endless}'")
        return run_program(("sh", "-c", script), timeout_s=HANG_S, limit_bytes=limit_bytes)


def linux_with_silent_radeon(root: Path) -> ScriptHost:
    host = ScriptHost(
        root,
        {
            **pci_card("0000:83:00.0", vendor="1002", device="744c"),
            **pci_card("0000:41:00.0", vendor="1eff", device="1250", class_code="120000"),
            "/dev/davinci_manager": "",
        },
        links={
            f"{BUS}/0000:83:00.0/driver": "../../../bus/pci/drivers/amdgpu",
            "/sys/bus/pci/drivers/amdgpu/0000:83:00.0": "../../../../devices/pci0000:00/0000:83:00.0",
        },
    )
    host.programs = ("amd-smi", "rocm-smi", "npu-smi", "ollama", "llama-server")
    host.starters = frozenset({"amd", "npu", "llama.cpp", "Ollama"})
    return host


def mac(root: Path) -> ScriptHost:
    host = ScriptHost(
        root,
        {f"{SYSTEM}/SystemVersion.plist": "<key>ProductVersion</key><string>15.6</string>"},
        platform=on(system="macos", architecture="aarch64", glibc=None, home="/Users/user"),
    )
    host.values = {"machdep.cpu.brand_string": "Apple M4", "hw.memsize": 24 * 1024**3, "hw.physicalcpu": 10}
    host.starters = frozenset({"apple"})
    return host


def wsl_with_rocm(root: Path) -> ScriptHost:
    host = ScriptHost(
        root,
        {"/dev/dxg": "", "/proc/version": "Linux version 6.6.87.2-microsoft-standard-WSL2"},
        platform=on(kernel="6.6.87.2-microsoft-standard-WSL2"),
    )
    host.programs = ("rocminfo",)
    host.starters = frozenset({"amd"})
    return host


def timed_scan(host: ScriptHost) -> Machine:
    """A scan that waits for no collector whose program hangs, after each has started its own."""

    def all_began(_: Machine) -> bool:
        missing = host.starters - host.begun
        host.begun.clear()
        return not missing

    with endless_file(host.endless):
        hanging = host.starters if "ENDLESS" in host.script else frozenset()
        return scan_around(host, hanging, until=all_began)


def results(machine: Machine) -> dict[str, AttemptResult]:
    return {attempt.source: attempt.result for attempt in machine.attempts}


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_radeon_and_other_cards_stay_whatever_the_tools_do(tmp_path: Path, how: str) -> None:
    host = linux_with_silent_radeon(tmp_path)
    host.script = MISBEHAVIOUR[how]
    machine = timed_scan(host)
    by_id = {device.pci_id: device for device in machine.accelerators}
    assert set(by_id) == {"1002:744c", "1eff:1250"}
    assert by_id["1002:744c"].memory_total_bytes is None
    assert machine.cpu.brand == "AMD Ryzen 7 5700X 8-Core Processor"
    assert machine.memory.total_bytes is not None
    assert {engine.id: engine.version for engine in machine.software.engines} == {
        "llama.cpp": None,
        "ollama": None,
    }
    assert msgspec.json.decode(msgspec.json.encode(machine), type=Machine) == machine


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_mac_keeps_chip_and_memory_whatever_the_profiler_does(tmp_path: Path, how: str) -> None:
    host = mac(tmp_path)
    host.script = MISBEHAVIOUR[how]
    machine = timed_scan(host)
    (gpu,) = [device for device in machine.accelerators if device.kind.value == "unified"]
    assert (gpu.name, gpu.memory_total_bytes, gpu.gpu_cores) == ("Apple M4", 24 * 1024**3, None)
    assert machine.host.os.version == "15.6"


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_wsl_stays_a_machine_whatever_rocminfo_does(tmp_path: Path, how: str) -> None:
    host = wsl_with_rocm(tmp_path)
    host.script = MISBEHAVIOUR[how]
    machine = timed_scan(host)
    assert machine.accelerators == ()
    assert machine.host.os.wsl == 2
    assert machine.cpu.usable_cores == 8


@pytest.mark.parametrize("how", MISBEHAVIOUR)
def test_windows_without_a_registry_stays_a_machine_whatever_powershell_does(
    tmp_path: Path, how: str
) -> None:
    host = ScriptHost(
        tmp_path, platform=on(system="windows", glibc=None, home=r"C:\Users\user", windows_build=26100)
    )
    host.starters = frozenset({"processor", "memory modules", "display adapters"})
    host.script = MISBEHAVIOUR[how]
    machine = timed_scan(host)
    assert machine.memory.total_bytes == 8 * 1024**3
    assert machine.accelerators == ()
    asked = [attempt for attempt in machine.attempts if attempt.result is not AttemptResult.OK]
    assert asked


def test_source_that_hangs_is_named(tmp_path: Path) -> None:
    host = linux_with_silent_radeon(tmp_path)
    host.script = MISBEHAVIOUR["hangs"]
    found = results(timed_scan(host))
    assert [source for source, result in found.items() if result is AttemptResult.TIMEOUT] == [
        "amd",
        "npu",
        "llama.cpp",
        "Ollama",
    ]


def test_source_that_floods_is_cut_off_and_named(tmp_path: Path) -> None:
    host = linux_with_silent_radeon(tmp_path)
    host.script = MISBEHAVIOUR["floods"]
    (attempt,) = [row for row in timed_scan(host).attempts if row.source == "amd-smi"]
    assert attempt.result is AttemptResult.FAILED
    assert attempt.detail is not None
    assert "printed more than 1048576 bytes" in attempt.detail


# -- files ---------------------------------------------------------------------------------------------

RADEON = {
    "mem_info_vram_total": "25753026560\n",
    "mem_info_vram_used": "1181116006\n",
    "mem_info_gtt_total": "33285996544\n",
    "mem_info_gtt_used": "20971520\n",
    "mem_info_vram_vendor": "samsung\n",
    "product_name": "AMD Radeon RX 7900 XTX\n",
    "revision": "0xc8\n",
    "drm/card0/dev": "226:0\n",
    "drm/renderD128/dev": "226:128\n",
    "hwmon/hwmon3/power1_cap": "303000000\n",
}
ELSEWHERE = {
    "/sys/class/kfd/kfd/topology/nodes/1/properties": (
        "simd_count 192\ngfx_target_version 110000\nlocation_id 33536\ndomain 0\n"
    ),
    "/sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties": "width 384\n",
    "/sys/module/amdgpu/version": "6.12.12\n",
    "/opt/rocm/.info/version": "6.4.1-83\n",
    "/dev/dri/renderD128": "",
    "/dev/kfd": "",
}


def linux_with_radeon(root: Path) -> TreeHost:
    return TreeHost(
        root,
        {
            **pci_card("0000:83:00.0", vendor="1002", device="744c"),
            **{f"{BUS}/0000:83:00.0/{name}": text for name, text in RADEON.items()},
            **ELSEWHERE,
        },
        links={
            f"{BUS}/0000:83:00.0/driver": "../../../bus/pci/drivers/amdgpu",
            "/sys/bus/pci/drivers/amdgpu/0000:83:00.0": "../../../../devices/pci0000:00/0000:83:00.0",
        },
    )


def test_radeon_with_honest_files(tmp_path: Path) -> None:
    (card,) = scan_machine(linux_with_radeon(tmp_path), deadline_s=30).accelerators
    assert (card.memory_total_bytes, card.gfx_target, card.power_limit_w) == (25753026560, "gfx1100", 303.0)


@pytest.mark.parametrize("path", [*(f"{BUS}/0000:83:00.0/{name}" for name in RADEON), *ELSEWHERE])
@pytest.mark.parametrize("what", ["fifo", "folder", "garbage", "negative", "huge"])
def test_file_that_is_none_costs_its_own_figure_alone(tmp_path: Path, path: str, what: str) -> None:
    host = linux_with_radeon(tmp_path)
    place = tmp_path / path.lstrip("/")
    place.unlink()
    if what == "fifo":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.write_bytes(
            {"garbage": b"\xff\xfe\x00lots", "negative": b"-1\n", "huge": b"9" * 5000 + b"\n"}[what]
        )
    # A file that holds its reader up does so for ever; a busy computer is done within the half minute.
    machine = scan_machine(host, deadline_s=30)
    (card,) = machine.accelerators
    assert card.pci_id == "1002:744c"
    assert AttemptResult.TIMEOUT not in results(machine).values()
    assert not [row for row in machine.attempts if row.code == "collector_failed"]
    assert card.memory_total_bytes in (None, 25753026560)
    assert card.memory_free_bytes is None or 0 <= card.memory_free_bytes <= 25753026560
    json.dumps(msgspec.to_builtins(machine))


# -- the whole program -----------------------------------------------------------------------------------

TOOLS = (
    "nvidia-smi",
    "amd-smi",
    "rocm-smi",
    "rocminfo",
    "npu-smi",
    "powershell",
    "powershell.exe",
    "wmic",
    "system_profiler",
    "ioreg",
    "vulkaninfo",
    "lspci",
    "dmidecode",
    "ollama",
    "llama-server",
    "vllm",
    "lms",
)


@pytest.mark.parametrize("how", ["hangs", "floods", "crashes"])
def test_program_ends_in_time_with_every_tool_on_path_broken(tmp_path: Path, how: str) -> None:
    """nvidia-smi, lspci, dmidecode and their like are never started: the machine is read without them."""
    tools = tmp_path / "bin"
    tools.mkdir()
    marks = tmp_path / "started"
    marks.mkdir()
    for name in TOOLS:
        script = tools / name
        body = MISBEHAVIOUR[how].replace("ENDLESS", f"'{tmp_path}/endless'")
        script.write_text(f"#!/bin/sh\n: > '{marks}/{name}'\n{body}\n")
        script.chmod(0o755)
    with endless_file(tmp_path / "endless"):
        done = subprocess.run(
            [sys.executable, "-m", "probe", "scan", "--json"],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{tools}:/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
            },
            capture_output=True,
            timeout=HANG_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    machine = msgspec.json.decode(done.stdout, type=Machine)
    assert machine.cpu.usable_cores
    assert machine.memory.total_bytes
    assert {engine.id for engine in machine.software.engines} >= {"ollama", "llama.cpp"}
    assert {path.name for path in marks.iterdir()} <= {"ollama", "llama-server"}
