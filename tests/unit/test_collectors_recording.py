"""Recordings: what was asked is replayed, nothing is invented, nobody is named."""

import json
import struct
import threading
from pathlib import Path

import msgspec
import pytest

from probe.collectors.answers import DiskFigures, Failure, ProgramOutput, UnrecordedRequestError
from probe.collectors.facts import Facts, Found
from probe.collectors.host import Host, RecordedHost, RecordingHost
from probe.collectors.machine_identity import read_or_make
from probe.collectors.nvml_session import NvmlDevice, NvmlError
from probe.collectors.run import scan_machine
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Attempt,
    AttemptResult,
    Cpu,
    Disk,
    InstalledEngine,
    Machine,
    Software,
)
from probe.machine import Host as Identity
from probe.machine.redact import Redactor, hide_smbios_serials, redact
from tests.fakes.hosts import TreeHost, on, pci_card
from tests.fakes.nvml_cards import A100, P100, RTX_4090, at
from tests.fakes.nvml_library import Error, FakeNvmlLibrary, Rows, installed
from tests.fakes.patience import HANG_S, scan_around

UUID = "8932f937-d72c-4106-c12f-20bd9faed9f6"


def recorded(tmp_path: Path, inner: Host) -> tuple[Machine, Machine, dict[str, str]]:
    """(live, replayed, texts of the files) of one machine."""
    recorder = RecordingHost(inner, tmp_path / "recording")
    live = scan_machine(recorder, deadline_s=30)
    recorder.save()
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "recording").iterdir()}
    return live, scan_machine(RecordedHost(tmp_path / "recording"), deadline_s=30), texts


def comparable(machine: Machine) -> Machine:
    """Without what a replay cannot have: the clock, the id, names and identities."""
    return msgspec.structs.replace(
        machine,
        host=msgspec.structs.replace(machine.host, id=None, name=None, origin=machine.host.origin.LIVE),
        accelerators=tuple(msgspec.structs.replace(card, uuid=None) for card in machine.accelerators),
        attempts=tuple(
            msgspec.structs.replace(attempt, ms=0.0)
            for attempt in machine.attempts
            if attempt.source != "machine id"
        ),
        provenance={key: value for key, value in machine.provenance.items() if key != "/host/id"},
    )


def test_replay_gives_the_same_machine(tmp_path: Path) -> None:
    slice_ = {
        "nvmlDeviceGetName": "MIG 1g.5gb",
        "nvmlDeviceGetMemoryInfo_v2": {"total": 5 << 30, "free": 1 << 30},
    }
    mig = {**A100, "nvmlDeviceGetMigMode": (1, 1), "nvmlDeviceGetMaxMigDeviceCount": 7, "mig": {2: slice_}}
    busy = {
        **at(P100, 0x84),
        "nvmlDeviceGetComputeRunningProcesses_v3": Rows([{"pid": 9, "usedGpuMemory": 1 << 30}]),
        "nvmlDeviceGetEccMode": Error(999),
    }
    host = TreeHost(
        tmp_path / "tree",
        {
            **pci_card("0000:01:00.0"),
            **pci_card("0000:99:00.0", device="1111"),
            "/proc/9/comm": "python3\n",
            "/etc/os-release": "NAME=Ubuntu\n",
        },
        links={"/sys/bus/pci/devices/0000:99:00.0/driver": "../../nouveau"},
        variables={"CUDA_VISIBLE_DEVICES": "0,1"},
    )
    with installed(FakeNvmlLibrary(RTX_4090, busy, mig)):
        live, replayed, _ = recorded(tmp_path, host)
    assert len(live.accelerators) == 4
    assert msgspec.to_builtins(comparable(replayed)) == msgspec.to_builtins(comparable(live))


def test_recording_names_neither_person_nor_device(tmp_path: Path) -> None:
    card = {
        **RTX_4090,
        "nvmlDeviceGetUUID": f"GPU-{UUID}",
        "nvmlDeviceGetComputeRunningProcesses_v3": Rows([{"pid": 9, "usedGpuMemory": 1}]),
    }
    host = TreeHost(
        tmp_path / "tree",
        {
            "/proc/9/comm": "minjun-bot\n",
            "/proc/version": "Linux version 6.8 (minjun@kimpc)\n",
            "/proc/self/mountinfo": (
                "40 22 0:44 / /home rw - nfs4 filer.example.co.kr:/x rw,addr=10.1.2.3,client=10.1.2.4\n"
                "41 22 0:45 / /mnt rw - cifs //filer/share rw,username=minjun,domain=CORP,addr=fe80::1:2\n"
                "43 22 0:47 / /mnt/secret-project rw - ext4 /dev/sdb1 rw\n"
                f"42 22 0:46 / /boot rw - ext4 /dev/disk/by-uuid/{UUID} rw\n"
            ),
            "/proc/cpuinfo": "processor\t: 0\nmodel name\t: X1\n\nSerial\t\t: 100000001234abcd\n",
            "/sys/class/power_supply/BAT0/type": "Battery\n",
            "/sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
            "/etc/os-release": 'NAME="Ubuntu"\nHOME_URL="https://kimpc.example/52:54:00:ab:cd:ef"\n',
        },
        platform=on(host_name="kimpc", user_name="minjun", home="/home/minjun"),
        variables={"HF_HOME": "/data/minjun/hf", "CUDA_VISIBLE_DEVICES": "GPU-8932f937"},
    )
    with installed(FakeNvmlLibrary(card)):
        live, replayed, texts = recorded(tmp_path, host)
    everything = "\n".join(texts.values()).lower()
    for secret in (
        "minjun",
        "kimpc",
        UUID,
        "8932f937",
        "10.1.2.3",
        "fe80::",
        "52:54:00",
        "100000001234abcd",
        "filer.example",
        "//filer",
        "corp",
        "secret-project",
    ):
        assert secret not in everything, secret
    assert [card.state_reason for card in live.accelerators] == [None]
    assert [card.state_reason for card in replayed.accelerators] == [None]  # the mask still names the card


def test_unrecorded_request_fails_loudly(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    folder.mkdir()
    head = {"format": 1, "source": "constructed", "about": "nothing but a head", "platform": {}}
    head["platform"] = {"system": "linux", "architecture": "x86_64"}
    (folder / "recording.json").write_text(json.dumps(head), encoding="utf-8")
    host = RecordedHost(folder)
    for ask in (
        lambda: host.read_text("/proc/cpuinfo"),
        lambda: host.list_directory("/sys"),
        lambda: host.read_link("/sys/x"),
        lambda: host.exists("/dev/nvidia0"),
        lambda: host.variable("HOME"),
        lambda: host.run(("nvidia-smi",)),
        host.affinity,
        lambda: host.disk_figures("/"),
        lambda: host.registry_values("HKLM\\X"),
        lambda: host.sysctl("hw.memsize"),
        lambda: host.native("IsProcessorFeaturePresent", 40),
        lambda: host.loopback(11434, "/api/tags"),
        host.nvml,
    ):
        with pytest.raises(UnrecordedRequestError, match="not in the recording"):
            ask()
    with pytest.raises(UnrecordedRequestError):
        scan_machine(host, deadline_s=30)


def test_closed_parts_answer_that_nothing_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    folder.mkdir()
    head = {
        "format": 1,
        "source": "constructed",
        "about": "closed",
        "platform": {"system": "linux", "architecture": "x86_64"},
        "closed": ["/sys", "programs"],
        "disk_figures": {"/": {"total_bytes": 10, "free_bytes": 5}},
    }
    (folder / "recording.json").write_text(json.dumps(head), encoding="utf-8")
    (folder / "files.json").write_text(
        json.dumps({"/sys/class/a/b": ["1", ""], "/sys/class/c": {"link": "../d"}}), encoding="utf-8"
    )
    host = RecordedHost(folder)
    assert host.list_directory("/sys/class") == ("a", "c")
    assert host.read_text("/sys/class/a/b") == "1\n"
    assert host.read_link("/sys/class/c") == "../d"
    assert host.exists("/sys/class/a")
    assert not host.exists("/sys/nothing")
    assert isinstance(host.list_directory("/sys/nothing"), Failure)
    assert isinstance(host.run(("lspci",)), Failure)
    assert host.disk_figures("/") == DiskFigures(total_bytes=10, free_bytes=5)
    with pytest.raises(UnrecordedRequestError):
        host.read_text("/proc/x")


def test_every_kind_of_answer_is_written_and_replayed(tmp_path: Path) -> None:
    class WindowsHost(TreeHost):
        def registry_values(self, key: str):  # type: ignore[no-untyped-def]
            return {"DriverDesc": "AMD Radeon", "Size": 2**34, "Raw": b"\x00\xff", "List": ("a", "b")}

        def registry_keys(self, key: str) -> tuple[str, ...]:
            return ("0000", "0001")

        def sysctl(self, name: str) -> int:
            return 17179869184

        def native(self, question: str, *arguments: int | str):  # type: ignore[no-untyped-def]
            return b"\x01\x02" if question == "Raw" else {"a": [1, 2.5, None, True]}

        def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes:
            return b'{"models": []}\n'

        def run(self, arguments, *, timeout_s=3.0, limit_bytes=0):  # type: ignore[no-untyped-def]
            return ProgramOutput(exit_code=3, stdout="a\nb\n", stderr="c")

    recorder = RecordingHost(WindowsHost(tmp_path / "tree"), tmp_path / "recording")
    recorder.platform()
    asked = {
        "values": recorder.registry_values("HKLM\\K"),
        "keys": recorder.registry_keys("HKLM\\K"),
        "sysctl": recorder.sysctl("hw.memsize"),
        "raw": recorder.native("Raw", 1),
        "plain": recorder.native("Plain", "x"),
        "loopback": recorder.loopback(11434, "/api/tags"),
        "run": recorder.run(("nvidia-smi", "-q")),
        "memory": recorder.memory_figures(),
        "missing": recorder.read_text("/nowhere"),
        "disk": recorder.disk_figures("/nowhere"),
    }
    recorder.save()
    host = RecordedHost(tmp_path / "recording")
    assert {
        "values": host.registry_values("HKLM\\K"),
        "keys": host.registry_keys("HKLM\\K"),
        "sysctl": host.sysctl("hw.memsize"),
        "raw": host.native("Raw", 1),
        "plain": host.native("Plain", "x"),
        "loopback": host.loopback(11434, "/api/tags"),
        "run": host.run(("nvidia-smi", "-q")),
        "memory": host.memory_figures(),
        "missing": host.read_text("/nowhere"),
        "disk": host.disk_figures("/nowhere"),
    } == asked


def test_source_that_hangs_while_recording_is_written_as_such(tmp_path: Path) -> None:
    never = threading.Event()
    waiting: list[str] = []

    class StuckHost(TreeHost):
        def read_text(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> str | Failure:
            if path == "/dead/file":
                waiting.append(path)
                never.wait(HANG_S)
            return super().read_text(path, limit_bytes)

    def reads_it(host: Host) -> Facts:
        host.platform()
        yield Found(Cpu(laptop=True), "test")
        host.read_text("/dead/file")
        host.affinity()

    recorder = RecordingHost(StuckHost(tmp_path / "tree"), tmp_path / "recording")
    try:
        scan_around(recorder, {"stuck"}, collectors=(("stuck", reads_it),), until=lambda _: bool(waiting))
        recorder.save(whole=False)
    finally:
        never.set()
    replayed = scan_machine(
        RecordedHost(tmp_path / "recording"), deadline_s=30, collectors=(("stuck", reads_it),)
    )
    assert replayed.cpu.laptop is True
    answer = RecordedHost(tmp_path / "recording").read_text("/dead/file")
    assert isinstance(answer, Failure)
    assert answer.result is AttemptResult.TIMEOUT


def test_nvml_devices_written_alike(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "machines" / "linux-8x-h100-nvswitch"
    session = RecordedHost(folder).nvml()
    assert not isinstance(session, Failure)
    last = session.device(7)
    assert isinstance(last, NvmlDevice)
    assert session.ask("nvmlDeviceGetName", last) == "NVIDIA H100 80GB HBM3"
    assert session.ask("nvmlDeviceGetSomethingNew", last) == NvmlError(3)


# --- redaction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/kim/models", "/home/user/models"),
        (r"C:\Users\김민준\models", r"C:\Users\user\models"),
        ("/Users/kim/Library", "/Users/user/Library"),
        ("/Users/Shared/models", "/Users/Shared/models"),
        ("server kim-pc is up", "server user is up"),
        ("Serial Number: 5CD1234XYZ", "Serial Number: (hidden)"),
        ('"serial_number" : "C02XXXX"', '"serial_number" : "(hidden)"'),
        ("link/ether 52:54:00:ab:cd:ef", "link/ether (hidden)"),
        ("inet 192.168.0.17/24", "inet (hidden)/24"),
        ("GPU-" + UUID, "GPU-00000000-0000-0000-0000-000000000001"),
    ],
)
def test_secrets_are_replaced(text: str, expected: str) -> None:
    assert Redactor(("kim-pc", "kim")).text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "0000:01:00.0",
        "00000000:41:00.0",
        "driver 580.95.05",
        "driver 31.0.15.4630",
        "http://127.0.0.1:11434",
        "kernel 6.8.0-90-generic",
        "8.9",
        "flags : serialize avx2",
        "NVIDIA GeForce RTX 4090",
        "akimbo",  # holds a name, is none
        "0-3:1,4-7",
    ],
)
def test_facts_stay(text: str) -> None:
    assert Redactor(("kim", "ubuntu", "root", "nvidia", "vm")).text(text) == text


def test_names_that_stand_on_thousands_of_machines_are_no_secrets() -> None:
    assert Redactor(("nvidia", "ubuntu")).text("nvidia driver on ubuntu") == "nvidia driver on ubuntu"


def test_home_of_an_unusual_place_is_hidden() -> None:
    redactor = Redactor(("mjkim",), "/data/people/mjkim")
    assert redactor.text("/data/people/mjkim/hf") == "/data/people/user/hf"


def private_machine() -> Machine:
    return Machine(
        host=Identity(id="0123456789abcdef", name="kimpc"),
        accelerators=(
            Accelerator(
                index=0,
                kind=AcceleratorKind.DISCRETE,
                vendor="nvidia",
                name="RTX",
                state=AcceleratorState.USABLE,
                uuid=f"GPU-{UUID}",
                pci_address="0000:01:00.0",
            ),
        ),
        disks=(
            Disk(path="/data/minjun", purpose="home"),
            Disk(path="/data/minjun/hf", purpose="huggingface"),
        ),
        software=Software(
            engines=(InstalledEngine(id="ollama", path="/data/minjun/bin/ollama", models=("minjun/x",)),),
            environment={"CUDA_VISIBLE_DEVICES": f"GPU-{UUID}"},
        ),
        attempts=(
            Attempt(
                source="disk", result=AttemptResult.DENIED, ms=1.0, detail="/data/minjun: denied on kimpc"
            ),
        ),
    )


def test_report_names_neither_user_nor_device() -> None:
    clean = redact(private_machine())
    text = msgspec.json.encode(clean).decode()
    assert "minjun" not in text
    assert UUID not in text
    assert (clean.host.id, clean.host.name) == ("0123456789abcdef", "kimpc")
    assert clean.accelerators[0].pci_address == "0000:01:00.0"


def test_report_without_the_hosts_name() -> None:
    clean = redact(private_machine(), show_host_name=False)
    assert clean.host.name == "pc-012345"
    assert "kimpc" not in msgspec.json.encode(clean).decode()


def test_alias_takes_the_names_place_everywhere() -> None:
    clean = redact(private_machine(), alias="lab-3")
    assert clean.host.name == "lab-3"
    assert "kimpc" not in msgspec.json.encode(clean).decode()


def smbios(kind: int, fields: bytes, *strings: bytes) -> bytes:
    body = struct.pack("<BBH", kind, 4 + len(fields), kind) + fields
    return body + b"".join(text + b"\0" for text in strings) + (b"\0" if strings else b"\0\0")


def test_firmware_table_keeps_sizes_and_loses_serials() -> None:
    system = smbios(1, bytes([1, 2, 0, 3]) + b"\x11" * 16 + bytes([6, 0, 0]), b"Maker", b"Model", b"SERIAL77")
    # Handles, widths, size 16 GiB, form, set, locators 1 and 2, type DDR4, detail, speed, maker 3, serial 4.
    module = smbios(
        17,
        struct.pack("<HHHHHBBBBBHHBBBBB", 0, 0, 64, 64, 16384, 9, 0, 1, 2, 26, 0, 2666, 3, 4, 5, 6, 1),
        b"DIMM 0",
        b"BANK 0",
        b"Samsung",
        b"S/N 0815",
        b"ASSET9",
        b"M378A2",
    )
    oem = smbios(11, bytes([1]), b"Service tag ABC")
    table = system + module + oem + smbios(127, b"")
    clean = hide_smbios_serials(table)
    assert len(clean) == len(table)
    for secret in (b"SERIAL77", b"S/N 0815", b"ASSET9", b"ABC", b"\x11" * 16):
        assert secret not in clean
    for fact in (b"Maker", b"Model", b"DIMM 0", b"Samsung", b"M378A2", struct.pack("<H", 16384)):
        assert fact in clean


def test_damaged_firmware_table_does_not_break_the_redaction() -> None:
    assert hide_smbios_serials(b"\x11\x02") == b"\x11\x02"
    assert len(hide_smbios_serials(b"\x01\xff\x00\x00abc")) == 7


# --- identity ---------------------------------------------------------------------------------------------


def test_id_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "machine-id"
    first = read_or_make(path)
    assert first is not None
    assert len(first) == 16
    assert read_or_make(path) == first
    assert [entry.name for entry in path.parent.iterdir()] == ["machine-id"]


def test_runs_at_once_agree_on_one_id(tmp_path: Path) -> None:
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(read_or_make(tmp_path / "machine-id"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_damaged_id_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    path.write_text("", encoding="utf-8")
    made = read_or_make(path)
    assert made is not None
    assert read_or_make(path) == made


def test_home_that_cannot_be_written_leaves_no_id(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert read_or_make(tmp_path / "file" / "machine-id") is None
