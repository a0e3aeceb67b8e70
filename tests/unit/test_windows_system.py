"""Limits, power, processor, disks and language of Windows, from structures written by hand."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.host import RecordedHost, RecordingHost
from probe.collectors.local_programs import decode
from probe.collectors.operating_system import parse_windows_version
from probe.collectors.run import scan_machine
from probe.collectors.smbios_memory import memory_of
from probe.collectors.storage import place_of
from probe.collectors.windows_cim import parse_memory, parse_rows
from probe.collectors.windows_devices import DISPLAY_CLASS
from probe.collectors.windows_limits import parse_cpu_rate, parse_memory_limit
from probe.collectors.windows_power import parse_plan, parse_power_status
from probe.collectors.windows_storage import disk_kind, parse_storage
from probe.collectors.windows_system import Topology, parse_topology
from probe.long_paths import extended, openable
from probe.machine import Power
from probe.machine.attempt import AttemptResult
from probe.machine.redact import PUBLIC_UUIDS, Redactor
from tests.fakes.windows_hosts import GIB, WINDOWS, Device, WindowsHost, with_devices


def job(flags: int, *, process: int = 0, whole: int = 0) -> bytes:
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION as 64-bit Windows lays it out."""
    basic = struct.pack("<qqIxxxxQQIxxxxQII", 0, 0, flags, 0, 0, 0, 0, 0, 0)
    return basic.ljust(64, b"\0") + bytes(48) + struct.pack("<QQQQ", process, whole, 0, 0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (job(0x200, whole=4 * GIB), 4 * GIB),
        (job(0x100, process=2 * GIB), 2 * GIB),
        (job(0x300, process=2 * GIB, whole=4 * GIB), 2 * GIB),
        (job(0, process=2 * GIB, whole=4 * GIB), None),  # figures without their flags say nothing
        (job(0x2000), None),
        (b"", None),
        (b"\xff" * 20, None),
    ],
)
def test_memory_limit_of_a_job(raw: bytes, expected: int | None) -> None:
    assert parse_memory_limit(raw) == expected


@pytest.mark.parametrize(
    ("flags", "rate", "expected"),
    [
        (0x1 | 0x4, 5000, 0.5),
        (0x1 | 0x4, 10_000, None),  # the whole machine is no limit
        (0x1 | 0x2, 5, None),  # a weight bounds nothing
        (0x1 | 0x10, (2500 << 16) | 1000, 0.25),
        (0x1, 5000, None),  # not a hard cap
        (0, 5000, None),
    ],
)
def test_processor_limit_of_a_job(flags: int, rate: int, expected: float | None) -> None:
    assert parse_cpu_rate(struct.pack("<II", flags, rate)) == expected


def test_job_limits_bound_the_machine() -> None:
    host = WindowsHost(
        native={
            "QueryInformationJobObject 9": job(0x200, whole=4 * GIB),
            "QueryInformationJobObject 15": struct.pack("<II", 5, 2500),
            "QueryInformationJobObject 28": struct.pack("<QQ", GIB, 2 * GIB),
        }
    )
    machine = scan_machine(host, deadline_s=30)
    assert machine.memory.limit_bytes == 4 * GIB
    assert machine.memory.available_bytes == 3 * GIB
    assert machine.cpu.usable_cores == 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("01800000", Power(on_battery=False)),  # desktop: no battery
        ("00015000", Power(on_battery=True, laptop=True)),
        ("00014b01", Power(on_battery=True, laptop=True, plan="power_saver")),  # battery saver
        ("01086400", Power(on_battery=False, laptop=True)),
        ("ffffff00", Power()),
        ("0180", Power()),
        ("", Power()),
    ],
)
def test_power_status(raw: str, expected: Power) -> None:
    assert parse_power_status(bytes.fromhex(raw)) == expected


BALANCED = "381b4222-f694-41f0-9685-ff5bb260df2e"
BEST = "ded574b5-45a0-4f42-8737-46345c09c238"
LONG_BATTERY = "961CC777-2547-4F9D-8174-7D86181B8A7A"


@pytest.mark.parametrize(
    ("values", "on_battery", "expected"),
    [
        ({"ActivePowerScheme": BALANCED}, False, "balanced"),
        ({"ActivePowerScheme": "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"}, False, "performance"),
        ({"ActivePowerScheme": "{a1841308-3541-4fab-bc81-f71556f20b4a}"}, True, "power_saver"),
        ({"ActivePowerScheme": BALANCED, "ActiveOverlayAcPowerScheme": BEST}, False, "performance"),
        ({"ActivePowerScheme": BALANCED, "ActiveOverlayAcPowerScheme": BEST}, True, "balanced"),
        ({"ActivePowerScheme": BALANCED, "ActiveOverlayDcPowerScheme": LONG_BATTERY}, True, "power_saver"),
        (
            {
                "ActivePowerScheme": BALANCED,
                "ActiveOverlayAcPowerScheme": "00000000-0000-0000-0000-000000000000",
            },
            False,
            "balanced",
        ),
        ({"ActivePowerScheme": "e9f5c3a1-0000-4000-8000-0123456789ab"}, False, None),  # a maker's own plan
        ({}, False, None),
    ],
)
def test_power_plan(values: dict[str, str], on_battery: bool, expected: str | None) -> None:
    assert parse_plan(values, on_battery=on_battery) == expected


def entry(mask: int, *, groups: int = 1, size: int | None = None) -> bytes:
    body = struct.pack("<BB20xH", 0, 0, groups) + struct.pack("<QH6x", mask, 0) * groups
    return struct.pack("<II", 0, size if size is not None else 8 + len(body)) + body


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (entry(0b11) * 8, Topology(8, 16)),
        (entry(0b11) * 6 + entry(0b1) * 8, Topology(14, 20)),
        (entry(2**64 - 1, groups=2), Topology(1, 128)),
        (b"", Topology(0, 0)),
        (entry(1) + entry(1, size=0), Topology(1, 1)),  # sizes that never advance
        (entry(1) + entry(1, size=4000), Topology(1, 1)),
    ],
)
def test_processor_topology(raw: bytes, expected: Topology) -> None:
    assert parse_topology(raw) == expected


@given(st.binary(max_size=300))
def test_no_bytes_break_a_parser(raw: bytes) -> None:
    parse_topology(raw)
    parse_memory_limit(raw)
    parse_cpu_rate(raw)
    parse_power_status(raw)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"drive_type": 3, "bus_type": 17, "seek_penalty": False}, "nvme"),
        ({"drive_type": 3, "bus_type": 11, "seek_penalty": False}, "ssd"),
        ({"drive_type": 3, "bus_type": 11, "seek_penalty": True}, "hdd"),
        ({"drive_type": 3, "bus_type": 11}, None),
        ({"drive_type": 4}, "network"),
        ({"drive_type": 6}, "ram"),
        ({}, None),
        (None, None),
        (Failure(AttemptResult.FAILED, "x"), None),
    ],
)
def test_kind_of_disk(answer: object, expected: str | None) -> None:
    assert parse_storage(answer) == expected


def test_kind_of_disk_by_path() -> None:
    host = WindowsHost(native={"storage D:": {"drive_type": 3, "bus_type": 17}})
    assert disk_kind(host, "d:\\모델\\허깅페이스") == "nvme"
    assert disk_kind(host, "\\\\?\\D:\\" + "긴 이름\\" * 60) == "nvme"
    assert disk_kind(host, "\\\\fileserver\\모델") == "network"
    assert disk_kind(host, "relative") is None


def test_places_of_models_with_korean_names_are_kept() -> None:
    host = WindowsHost(
        variables={"HF_HOME": "D:\\인공지능 모델", "TEMP": "C:\\Users\\홍길동\\AppData\\Local\\Temp"}
    )
    assert place_of(host, "huggingface") == "D:\\인공지능 모델\\hub"
    assert place_of(host, "temporary") == "C:\\Users\\홍길동\\AppData\\Local\\Temp"


def test_recording_of_a_korean_pc_names_nobody_and_replays(tmp_path: Path) -> None:
    """User, machine and home folder go; ids that every Windows shares stay, or nothing could be replayed."""
    card = Device(
        "1002",
        "744c",
        (3, 0, 0),
        name="AMD Radeon RX 7900 XTX",
        driver={"HardwareInformation.qwMemorySize": 24 * GIB},
    )
    inner = with_devices(card)
    inner._facts = WINDOWS.__class__(
        system="windows",
        architecture="x86_64",
        host_name="길동이컴퓨터",
        user_name="홍길동",
        home="C:\\Users\\홍길동",
        logical_cores=8,
    )
    inner._variables["TEMP"] = "C:\\Users\\홍길동\\AppData\\Local\\Temp"
    recording = RecordingHost(inner, tmp_path / "녹화 폴더")
    live = scan_machine(recording, deadline_s=30)
    recording.save()
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "녹화 폴더").iterdir())
    assert "홍길동" not in written
    assert "길동이컴퓨터" not in written
    assert DISPLAY_CLASS in written
    again = scan_machine(RecordedHost(tmp_path / "녹화 폴더"), deadline_s=30)
    assert [device.name for device in again.accelerators] == [device.name for device in live.accelerators]
    assert again.accelerators[0].memory_total_bytes == 24 * GIB


def test_ids_that_every_windows_shares_are_no_secrets() -> None:
    redactor = Redactor()
    for uuid in PUBLIC_UUIDS:
        assert redactor.text(f"{{{uuid.upper()}}}\\0001") == f"{{{uuid.upper()}}}\\0001"
    assert "d2719a5e" not in redactor.text("{d2719a5e-0b1c-4d2e-8f3a-4b5c6d7e8f90}")


@pytest.mark.parametrize(
    ("values", "name", "edition"),
    [
        (
            {"CurrentBuild": "26100", "ProductName": "Windows 10 Pro", "EditionID": "Professional"},
            "Windows 11",
            "Professional",
        ),
        (
            {"CurrentBuild": "19045", "ProductName": "Windows 10 Home", "EditionID": "Core"},
            "Windows 10",
            "Core",
        ),
        (
            {
                "CurrentBuild": "20348",
                "ProductName": "Windows Server 2022 Standard",
                "InstallationType": "Server",
            },
            "Windows Server 2022 Standard",
            None,
        ),
        ({"CurrentBuild": "7601", "ProductName": "Windows 7 Professional"}, "Windows 7 Professional", None),
        ({}, "Windows", None),
    ],
)
def test_windows_by_its_build(values: dict[str, str], name: str, edition: str | None) -> None:
    system = parse_windows_version(values)
    assert (system.name, system.edition) == (name, edition)


MODULES = (
    '[{"Capacity":17179869184,"DeviceLocator":"DIMM_A2","BankLabel":"BANK 1","DataWidth":64,"Speed":3200,'
    '"ConfiguredClockSpeed":2933,"SMBIOSMemoryType":26},{"Capacity":"17179869184","DeviceLocator":"DIMM_B2",'
    '"BankLabel":"BANK 3","DataWidth":64,"Speed":3200,"ConfiguredClockSpeed":0,"SMBIOSMemoryType":26}]'
)


def test_modules_by_powershell_where_the_firmware_call_fails() -> None:
    output = ProgramOutput(exit_code=0, stdout=MODULES)
    host = WindowsHost(programs={"Win32_PhysicalMemory": output})
    memory = scan_machine(host, deadline_s=30).memory
    assert (memory.type, memory.speed_mt_per_s, memory.channels) == ("DDR4", 2933, 2)
    assert memory.installed_bytes == 32 * GIB


def test_one_module_is_written_without_a_list() -> None:
    from probe.collectors.smbios import Smbios

    devices = parse_memory(
        '{"Capacity":8589934592,"Speed":5600,"ConfiguredClockSpeed":4800,"SMBIOSMemoryType":34}'
    )
    memory = memory_of(Smbios(devices=devices))
    assert (memory.type, memory.speed_mt_per_s, memory.channels) == ("DDR5", 4800, 1)


@pytest.mark.parametrize("text", ["", "null", "[", "[[]]", '"text"', "7", '{"Capacity":{}}'])
def test_other_output_of_powershell_gives_no_rows(text: str) -> None:
    assert [row for row in parse_rows(text) if row] == []
    assert parse_memory(text) == ()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("한글 그래픽".encode(), "한글 그래픽"),
        (b"\xef\xbb\xbf[]", "[]"),
        ("[]".encode("utf-16"), "[]"),
    ],
)
def test_output_of_programs_is_decoded_by_what_it_is(raw: bytes, expected: str) -> None:
    assert decode(raw) == expected


def test_output_in_no_known_encoding_loses_letters_not_the_rest() -> None:
    assert decode("AMD 그래픽 RX".encode("cp949")).startswith("AMD ")
    assert decode("AMD 그래픽 RX".encode("cp949")).endswith(" RX")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\Users\\홍길동\\보고서.json", "\\\\?\\C:\\Users\\홍길동\\보고서.json"),
        ("\\\\파일서버\\공유\\pc.json", "\\\\?\\UNC\\파일서버\\공유\\pc.json"),
        ("\\\\?\\C:\\a", "\\\\?\\C:\\a"),
        ("\\\\.\\C:", "\\\\.\\C:"),
    ],
)
def test_long_form_of_a_windows_path(path: str, expected: str) -> None:
    assert extended(path) == expected


def test_short_paths_stay_as_the_user_wrote_them(tmp_path: Path) -> None:
    assert openable(Path("pc.json")) == Path("pc.json")
    assert openable(tmp_path) == tmp_path or len(str(tmp_path)) >= 200
