"""Where the module table comes from: Windows, Linux as root, and udev for everybody else."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from probe.collectors import smbios_memory
from probe.collectors.answers import Failure, Plain
from probe.collectors.facts import Found
from probe.collectors.host import RecordedHost, RecordingHost
from probe.collectors.merge import merge
from probe.collectors.smbios import parse_table
from probe.collectors.smbios_memory import FIRMWARE, TABLE, UDEV, memory_of, parse_udev_devices
from probe.machine import Machine
from probe.machine.attempt import AttemptResult
from probe.machine.description import HostOrigin
from tests.fakes import smbios_tables as build
from tests.fakes.hosts import TreeHost, on

GIB = 1024**3
MACHINES = build.real_machines()
TWO_MODULES = [build.module("16 GB", "DIMM_A2"), build.module("16 GB", "DIMM_B2", "P0 CHANNEL B")]


class WindowsTree(TreeHost):
    """A Windows PC of which only the firmware's answers matter."""

    def __init__(self, root: Path, answers: Mapping[str, Plain | Failure]) -> None:
        super().__init__(root, platform=on(system="windows", glibc=None))
        self._answers = dict(answers)

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        asked = " ".join([question, *(str(argument) for argument in arguments)])
        return self._answers.get(asked, Failure(AttemptResult.ABSENT, "no such call on this system"))


def machine_of(host: TreeHost) -> Machine:
    return merge(list(smbios_memory.collect(host)), HostOrigin.LIVE)


def udev_lines(modules: list[dict[str, str | None]]) -> str:
    """As systemd's dmi_memory_id prints the table: sizes in bytes, speeds without unit."""
    lines = ["I:1234567", "E:MEMORY_ARRAY_LOCATION=System Board Or Motherboard"]
    table = build.table([module for module in modules if module["type"] != "Flash"])
    for number, (module, device) in enumerate(zip(modules, parse_table(table).devices, strict=False)):
        base = f"E:MEMORY_DEVICE_{number}_"
        lines.append(f"{base}PRESENT=0" if device.size_bytes == 0 else f"{base}SIZE={device.size_bytes}")
        lines += [f"{base}LOCATOR={module['locator']}", f"{base}BANK_LOCATOR={module['bank']}"]
        lines += [f"{base}TYPE={module['type']}", f"{base}SERIAL_NUMBER={build.SERIAL}"]
        if device.data_width_bits:
            lines.append(f"{base}DATA_WIDTH={device.data_width_bits}")
        if device.rated:
            lines.append(f"{base}SPEED_MTS={device.rated}")
        if device.configured:
            lines.append(f"{base}CONFIGURED_SPEED_MTS={device.configured}")
    return "\n".join([*lines, f"E:MEMORY_ARRAY_NUM_DEVICES={len(modules)}", "V:1", ""])


def test_udev_says_the_same_as_the_table_on_every_real_machine() -> None:
    for position, row in enumerate(MACHINES):
        modules = [module for module in row["modules"] if module["type"] != "Flash"]
        by_table = parse_table(build.table(modules)).devices
        by_udev = parse_udev_devices(udev_lines(modules))
        assert memory_of_devices(by_udev) == memory_of_devices(by_table), position


def memory_of_devices(devices: tuple[object, ...]) -> object:
    from probe.collectors.smbios import Smbios

    return memory_of(Smbios(devices=devices))  # type: ignore[arg-type]


def test_udevadm_writes_a_blank_after_the_letter_and_older_systemd_no_ddr5() -> None:
    text = (
        "P: /devices/virtual/dmi/id\nE: MEMORY_DEVICE_0_SIZE=17179869184\n"
        "E: MEMORY_DEVICE_0_TYPE=<OUT OF SPEC>\nE: MEMORY_DEVICE_0_SPEED_MTS=5600\n"
        "E: MEMORY_DEVICE_1_PRESENT=0\nE: MEMORY_DEVICE_2_SIZE=4194304\nE: MEMORY_DEVICE_2_TYPE=Flash\n"
    )
    used, empty = parse_udev_devices(text)
    assert (used.size_bytes, used.type, used.rated) == (16 * GIB, None, 5600)
    assert empty.size_bytes == 0


@pytest.mark.parametrize("text", ["", "E:MEMORY_DEVICE_0_SIZE=many\n", "E:MEMORY_DEVICE_0_TYPE=\n", "\0\0"])
def test_odd_udev_entries_give_no_modules(text: str) -> None:
    assert not any(device.size_bytes for device in parse_udev_devices(text))


def test_windows_reads_the_table_without_programs(tmp_path: Path) -> None:
    raw = build.windows_table(build.table(TWO_MODULES, build.chassis(10), build.processor()))
    host = WindowsTree(
        tmp_path, {f"{FIRMWARE} RSMB": raw, "GetPhysicallyInstalledSystemMemory": 32 * 1024**2}
    )
    machine = machine_of(host)
    assert machine.memory.installed_bytes == 32 * GIB
    assert (machine.memory.type, machine.memory.speed_mt_per_s, machine.memory.channels) == ("DDR4", 3200, 2)
    assert machine.cpu.sockets == 1
    assert machine.power.laptop is True
    assert [attempt.result for attempt in machine.attempts] == [AttemptResult.OK, AttemptResult.OK]


def test_windows_without_a_table_still_knows_what_is_installed(tmp_path: Path) -> None:
    host = WindowsTree(tmp_path, {"GetPhysicallyInstalledSystemMemory": 16 * 1024**2})
    machine = machine_of(host)
    assert machine.memory.installed_bytes == 16 * GIB
    assert machine.memory.modules == ()
    assert machine.attempts[0].result is AttemptResult.ABSENT


def test_linux_root_reads_the_table(tmp_path: Path) -> None:
    host = TreeHost(tmp_path)
    place = tmp_path / TABLE.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_bytes(build.table(TWO_MODULES))
    machine = machine_of(host)
    assert (machine.memory.channels, machine.memory.installed_bytes) == (2, 32 * GIB)
    assert machine.provenance["/memory/channels"].source == TABLE


@pytest.mark.skipif(os.name == "nt", reason="the name holds a colon")
def test_linux_user_falls_back_to_udev(tmp_path: Path) -> None:
    host = TreeHost(tmp_path, {UDEV: udev_lines(TWO_MODULES)})
    machine = machine_of(host)
    assert (machine.memory.channels, machine.memory.speed_mt_per_s) == (2, 3200)
    assert machine.provenance["/memory/channels"].source == UDEV
    assert [attempt.result for attempt in machine.attempts] == [AttemptResult.ABSENT, AttemptResult.OK]


@pytest.mark.skipif(os.name == "nt", reason="the name holds a colon")
def test_modules_of_a_virtual_machine_are_fiction(tmp_path: Path) -> None:
    """QEMU shows one module for 16 GB of RAM; believing it would mean one channel."""
    files = {
        UDEV: udev_lines([build.module("16 GB", "DIMM 0", "Not Specified", "Other")]),
        "/sys/class/dmi/id/sys_vendor": "QEMU\n",
        "/sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
    }
    machine = machine_of(TreeHost(tmp_path, files))
    assert machine.memory.modules == ()
    assert machine.memory.channels is None
    assert machine.attempts[-1].result is AttemptResult.SKIPPED


def test_recorded_table_carries_no_serial_numbers(tmp_path: Path) -> None:
    """Both the table that root reads and the one Windows hands out."""
    raw = build.table(TWO_MODULES, build.system())
    place = tmp_path / "root" / TABLE.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_bytes(raw)
    for number, inner in enumerate(
        (
            TreeHost(tmp_path / "root"),
            WindowsTree(tmp_path / "win", {f"{FIRMWARE} RSMB": build.windows_table(raw)}),
        )
    ):
        folder = tmp_path / f"recording{number}"
        recording = RecordingHost(inner, folder)
        facts = list(smbios_memory.collect(recording))
        recording.save()
        replayed = list(smbios_memory.collect(RecordedHost(folder)))
        parts = [[fact for fact in told if isinstance(fact, Found)] for told in (facts, replayed)]
        assert parts[0] == parts[1]
        decoded = RecordedHost(folder)
        held = decoded.read_bytes(TABLE) if number == 0 else decoded.native(FIRMWARE, "RSMB")
        assert isinstance(held, bytes)
        assert build.SERIAL.encode() not in held


@pytest.mark.skipif(os.name == "nt", reason="the name holds a colon")
def test_recorded_udev_entry_carries_no_serial_numbers(tmp_path: Path) -> None:
    host = TreeHost(tmp_path / "root", {UDEV: udev_lines(TWO_MODULES)})
    recording = RecordingHost(host, tmp_path / "recording")
    facts = list(smbios_memory.collect(recording))
    recording.save()
    assert any(isinstance(fact, Found) for fact in facts)
    text = (tmp_path / "recording" / "files.json").read_text(encoding="utf-8")
    assert "MEMORY_DEVICE_0_SIZE" in text
    assert build.SERIAL not in text
