"""The real Windows interpreter, with Korean as its language: what a user at an office PC types.

Runs under Wine (tests/rig/windows_rig.py). Output goes through pipes, so the
console's encoding is code page 949, the strictest case: letters it lacks raise.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probe.collectors.host import RecordedHost
from probe.collectors.run import scan_machine
from tests.rig import sparse_gguf, windows_rig
from tests.rig.windows_rig import ROOT, WindowsPython, windows_path

pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(
        windows_rig.why_missing() is not None, reason=f"RIG MISSING: windows: {windows_rig.why_missing()}"
    ),
]
MIB = 1024**2
ENUM = "HKLM\\SYSTEM\\CurrentControlSet\\Enum\\PCI"
CLASS = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}"
RADEON_BYTES = 25753026560
# A Radeon above 4 GiB, the card that nvml.dll knows, the processor's own graphics, and a driver's key
# whose card is gone.
REGISTRY: dict[str, dict[str, object]] = {
    f"{ENUM}\\VEN_1002&DEV_744C&SUBSYS_0E3B1002&REV_C8\\6&1A2B3C4D&0&00000019": {
        "ClassGUID": "{4d36e968-e325-11ce-bfc1-08002be10318}",
        "Driver": "{4d36e968-e325-11ce-bfc1-08002be10318}\\0011",
        "DeviceDesc": "@oem30.inf,%amd744c%;AMD Radeon RX 7900 XTX",
        "LocationInformation": "@System32\\drivers\\pci.sys,#65536;PCI 버스 %1, 장치 %2, 기능 %3;(3,0,0)",
        "CompatibleIDs": ["PCI\\CC_030000", "PCI\\CC_0300"],
        "Service": "amdwddmg",
    },
    f"{ENUM}\\VEN_10DE&DEV_27A0&SUBSYS_13C21462&REV_A1\\4&2283F625&0&0008": {
        "ClassGUID": "{4D36E968-E325-11CE-BFC1-08002BE10318}",
        "Driver": "{4D36E968-E325-11CE-BFC1-08002BE10318}\\0012",
        "LocationInformation": "@System32\\drivers\\pci.sys,#65536;PCI 버스 %1, 장치 %2, 기능 %3;(1,0,0)",
        "CompatibleIDs": ["PCI\\CC_030000", "PCI\\CC_0300"],
        "Service": "nvlddmkm",
    },
    f"{ENUM}\\VEN_8086&DEV_A788&SUBSYS_14621462&REV_04\\3&11583659&0&10": {
        "ClassGUID": "{4d36e968-e325-11ce-bfc1-08002be10318}",
        "Driver": "{4d36e968-e325-11ce-bfc1-08002be10318}\\0014",
        "LocationInformation": "@System32\\drivers\\pci.sys,#65536;PCI 버스 %1, 장치 %2, 기능 %3;(0,2,0)",
        "CompatibleIDs": ["PCI\\CC_030000", "PCI\\CC_0300"],
        "Service": "igfxn",
    },
    f"{CLASS}\\0011": {
        "DriverDesc": "AMD Radeon RX 7900 XTX",
        "DriverVersion": "32.0.12033.1030",
        "MatchingDeviceId": "PCI\\VEN_1002&DEV_744C",
        "HardwareInformation.qwMemorySize": RADEON_BYTES,
        "HardwareInformation.MemorySize": 4293918720,
    },
    f"{CLASS}\\0012": {
        "DriverDesc": "NVIDIA GeForce RTX 4080 Laptop GPU",
        "DriverVersion": "32.0.15.6636",
        "MatchingDeviceId": "PCI\\VEN_10DE&DEV_27A0",
        "HardwareInformation.qwMemorySize": 12878610432,
    },
    f"{CLASS}\\0013": {
        "DriverDesc": "NVIDIA GeForce GTX 1080 Ti",
        "DriverVersion": "31.0.15.3623",
        "MatchingDeviceId": "PCI\\VEN_10DE&DEV_1B06",
        "HardwareInformation.qwMemorySize": 11811160064,
    },
    f"{CLASS}\\0014": {
        "DriverDesc": "Intel(R) UHD Graphics",
        "DriverVersion": "31.0.101.5186",
        "MatchingDeviceId": "PCI\\VEN_8086&DEV_A788",
        "HardwareInformation.qwMemorySize": {"base64": "AAAACAAAAAA="},  # 128 MiB, as Intel writes it
    },
    "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Power\\User\\PowerSchemes": {
        "ActivePowerScheme": "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"
    },
}
# What differs between systems: files that are mapped, replaced and shared, paths, code pages.
SUITE = (
    "tests/unit/test_hostile_model_files.py",
    "tests/unit/test_render_text.py",
    "tests/unit/test_share.py",
    "tests/unit/test_smbios_sources.py",
    "tests/unit/test_windows_display.py",
    "tests/unit/test_windows_system.py",
)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsPython]:
    windows_rig.build_project()
    interpreter = WindowsPython()
    try:
        keys = tmp_path_factory.mktemp("registry") / "keys.json"
        keys.write_text(json.dumps(REGISTRY), encoding="utf-8")
        script = Path(__file__).with_name("write_registry.py")
        outcome = interpreter.run(windows_path(script), windows_path(keys))
        assert outcome.page == "written\n", outcome.talk
        yield interpreter
    finally:
        interpreter.close()


@pytest.fixture(scope="module")
def machine(windows: WindowsPython) -> dict[str, Any]:
    outcome = windows.probe("scan", "--json")
    assert outcome.code == 0, outcome.talk
    found: dict[str, Any] = json.loads(outcome.stdout.decode("utf-8"))
    return found


@pytest.fixture()
def korean_folder(tmp_path: Path) -> Path:
    """A folder with a Korean name and a blank, on the drive Z:."""
    folder = tmp_path / "사용자 문서"
    folder.mkdir()
    return folder


def test_the_console_is_korean(windows: WindowsPython) -> None:
    """If this fails, the others prove nothing."""
    outcome = windows.run(
        "-c", "import sys, ctypes; print(sys.stdout.encoding, ctypes.windll.kernel32.GetACP(), sys.winver)"
    )
    assert outcome.page == "cp949 949 3.13\n"


def test_version(windows: WindowsPython) -> None:
    outcome = windows.probe("--version")
    assert outcome.code == 0
    assert re.fullmatch(r"probe \d+\.\d+\.\d+\n", outcome.page)


def test_report_in_korean_survives_the_code_page(windows: WindowsPython) -> None:
    """`probe --lang ko > a.txt`: exit code 0, every letter in the code page, none replaced."""
    outcome = windows.probe("--lang", "ko")
    assert outcome.code == 0, outcome.talk
    page = outcome.page
    for word in ("모델 크기 × 양자화 지도", "메모리 대역폭", "RTX 4080 Laptop GPU", "쾌적", "추천"):
        assert word in page
    assert "?" not in page
    assert outcome.talk == ""


def test_redirected_by_the_command_interpreter(windows: WindowsPython, korean_folder: Path) -> None:
    """The redirection itself done by Windows, into a file with a Korean name."""
    target = korean_folder / "결과.txt"
    python = windows_path(windows_rig.PYTHON / "python.exe")
    batch = korean_folder.parent / "redirect.cmd"  # in the code page, as the command interpreter reads it
    line = f'@"{python}" -m probe scan --lang ko > "{windows_path(target)}"\r\n'
    batch.write_bytes(line.encode("cp949"))
    outcome = windows.run("/d", "/c", windows_path(batch), program="cmd")
    assert outcome.code == 0, outcome.talk
    assert "하드웨어" in target.read_bytes().decode("cp949")


def test_scan_finds_processor_and_memory(machine: dict[str, Any]) -> None:
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
    total = int(re.search(r"MemTotal:\s+(\d+) kB", meminfo)[1]) * 1024  # type: ignore[index]
    assert machine["host"]["os"]["family"] == "windows"
    assert machine["host"]["os"]["name"] == "Windows 10"
    assert machine["cpu"]["brand"] in cpuinfo
    assert machine["cpu"]["logical_cores"] == cpuinfo.count("processor\t")
    assert machine["memory"]["total_bytes"] == pytest.approx(total, rel=0.02)
    assert machine["memory"]["installed_bytes"] == pytest.approx(total, rel=0.1)
    assert machine["power"]["plan"] == "performance"


def test_scan_finds_the_registry_card_above_4_gib_and_the_nvml_card_once(machine: dict[str, Any]) -> None:
    rows = [(row["name"], row["state"], row["pci_address"]) for row in machine["accelerators"]]
    assert rows == [
        ("NVIDIA GeForce RTX 4080 Laptop GPU", "usable", "0000:01:00.0"),
        ("AMD Radeon RX 7900 XTX", "usable", "0000:03:00.0"),
        ("Intel(R) UHD Graphics", "usable", "0000:00:02.0"),
    ]
    nvidia, radeon, own = machine["accelerators"]
    assert (own["kind"], own["memory_shared"], own["memory_total_bytes"]) == ("integrated", True, None)
    assert radeon["memory_total_bytes"] == RADEON_BYTES
    assert radeon["driver_version"] == "32.0.12033.1030"
    assert nvidia["memory_total_bytes"] == 12282 * MIB
    assert (nvidia["compute_capability"], nvidia["driver_model"]) == ("8.9", "wddm")
    assert nvidia["bandwidth_bytes_per_s"]["value"] == pytest.approx(432.048e9)
    assert machine["nvidia"]["driver_version"] == "566.36"
    assert machine["nvidia"]["cuda_driver_version"] == "12.7"


def test_what_fails_here_is_an_attempt_and_nothing_else(machine: dict[str, Any]) -> None:
    """Wine has no DirectX without a display and its performance counters fail: data, not errors."""
    attempts = {row["source"]: row for row in machine["attempts"]}
    assert attempts["DXGI"]["result"] == "failed"
    assert attempts["GetSystemFirmwareTable"]["result"] == "ok"
    assert attempts["job limits"]["result"] == "absent"
    assert machine["memory"]["swap_total_bytes"] is None
    assert not [row for row in machine["attempts"] if row["code"] == "collector_failed"]


def test_no_program_is_started_and_no_administrator_needed(machine: dict[str, Any]) -> None:
    sources = [row["source"] for row in machine["attempts"]]
    assert not [source for source in sources if "CIM" in source or "wmic" in source.lower()]
    assert not [row for row in machine["attempts"] if row["result"] == "denied"]


def test_the_machine_keeps_its_id_in_a_korean_profile(machine: dict[str, Any]) -> None:
    assert len(machine["host"]["id"]) == 16
    profile = windows_rig.PREFIX / "drive_c" / "users" / windows_rig.USER / "AppData" / "Local"
    kept = (profile / "probe" / "machine-id").read_text(encoding="utf-8")
    assert kept.strip() == machine["host"]["id"]


def test_korean_user_name_is_not_in_the_answer(machine: dict[str, Any]) -> None:
    assert windows_rig.USER not in json.dumps(machine, ensure_ascii=False)
    assert machine["disks"][0]["path"] == "C:\\users\\user"


def test_display_language_of_windows_decides(windows: WindowsPython) -> None:
    """Without the variables of Unix, which real Windows does not have."""
    code = "from probe.cli import language as l; print(l.system_language({}, l._windows_language_id()))"
    assert windows.run("-c", code).page == "ko\n"


def test_check_a_model_by_name(windows: WindowsPython) -> None:
    outcome = windows.probe("check", "llama-3.1-8b")
    assert outcome.code == 0, outcome.talk
    assert "쾌적하게 돌아갑니다" in outcome.page
    assert "llama-server" in outcome.page


def test_check_a_file_with_a_korean_and_long_path(windows: WindowsPython, korean_folder: Path) -> None:
    folder = korean_folder / ("아주 긴 폴더 이름 " * 3).strip() / ("또 하나의 깊은 폴더 " * 4).strip()
    folder = folder / ("a" * 100) / ("b" * 60)
    folder.mkdir(parents=True)
    model = folder / "모델 Q4_K.gguf"
    write_little_llama(model)
    assert len(windows_path(model)) > 260
    outcome = windows.probe("check", windows_path(model), "--json")
    assert outcome.code == 0, outcome.talk
    estimate = json.loads(outcome.stdout.decode("utf-8"))
    assert estimate["memory"]["weights_bytes"] > 0
    assert estimate["fits"] is True


def test_missing_file_with_a_korean_name_is_named(windows: WindowsPython) -> None:
    outcome = windows.probe("check", "D:\\없는 폴더\\모델.gguf")
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "모델.gguf" in outcome.talk
    assert "?" not in outcome.talk


def test_wrong_usage_speaks_korean(windows: WindowsPython) -> None:
    outcome = windows.probe("scan", "--없는선택")
    assert outcome.code == 2
    assert re.search("[가-힣]", outcome.talk)
    unknown = windows.probe("check", "없는모델-7b")
    assert unknown.code == 2
    assert "없는모델-7b" in unknown.talk


@pytest.mark.parametrize("command", [(), ("check",)], ids=str)
def test_help_survives_the_code_page(windows: WindowsPython, command: tuple[str, ...]) -> None:
    outcome = windows.probe(*command, "--help")
    assert outcome.code == 0, outcome.talk
    assert re.search("[가-힣]", outcome.page)
    assert "--lang" in outcome.page


def test_english_survives_too_and_shows_no_replaced_letter(windows: WindowsPython) -> None:
    outcome = windows.probe("scan", "--lang", "en")
    assert outcome.code == 0, outcome.talk
    assert "RTX 4080 Laptop GPU" in outcome.page
    assert not re.search("[가-힣]", outcome.page)
    assert "?" not in outcome.page


def test_letters_that_the_code_page_lacks_do_not_end_the_program(windows: WindowsPython) -> None:
    """A host's alias may hold anything; the answer is printed all the same."""
    outcome = windows.probe("scan", "--alias", "서버 \N{CHECK MARK} \N{ROCKET} café", "--lang", "ko")
    assert outcome.code == 0, outcome.talk
    assert "서버" in outcome.page


def test_json_is_utf_8_on_every_console(windows: WindowsPython, machine: dict[str, Any]) -> None:
    outcome = windows.probe("scan", "--json", "--alias", "길동이 PC \N{ROCKET}")
    again = json.loads(outcome.stdout.decode("utf-8"))
    assert again["host"]["name"] == "길동이 PC \N{ROCKET}"
    assert again["host"]["id"] == machine["host"]["id"]  # made once, kept between runs


def test_files_are_utf_8_in_a_long_korean_folder(windows: WindowsPython, korean_folder: Path) -> None:
    folder = korean_folder / ("공유 폴더 " * 8).strip() / ("부서별 보고서 " * 8).strip() / ("c" * 120)
    folder.mkdir(parents=True)
    target = folder / "결과.md"
    assert len(windows_path(target)) > 260
    outcome = windows.probe("scan", "--lang", "ko", "--output", windows_path(target))
    assert (outcome.code, outcome.stdout) == (0, b""), outcome.talk
    assert "RTX 4080 Laptop GPU" in target.read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir()] == ["결과.md"]


def test_unwritable_target_is_refused_in_korean(windows: WindowsPython) -> None:
    outcome = windows.probe("scan", "--output", "Z:\\없는 폴더\\결과.md")
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "없는 폴더" in outcome.talk


def test_recording_made_on_windows_replays_on_this_system(
    windows: WindowsPython, machine: dict[str, Any], korean_folder: Path
) -> None:
    """And names neither the user nor the cards' UUIDs."""
    folder = korean_folder / "녹화"
    for _ in range(5):  # a busy computer may leave Wine too little of the scan's five seconds
        outcome = windows.probe("scan", "--json", "--record", windows_path(folder))
        assert outcome.code == 0, outcome.talk
        if all(row.get("code") != "abandoned" for row in json.loads(outcome.stdout)["attempts"]):
            break
    written = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert windows_rig.USER not in written
    assert "12345678-1234" not in written
    replayed = scan_machine(RecordedHost(folder), deadline_s=30)
    assert [device.name for device in replayed.accelerators] == [
        row["name"] for row in machine["accelerators"]
    ]
    sizes = [device.memory_total_bytes for device in replayed.accelerators]
    assert sizes == [12282 * MIB, RADEON_BYTES, None]
    assert replayed.cpu.brand == machine["cpu"]["brand"]
    assert replayed.memory.total_bytes == machine["memory"]["total_bytes"]


def test_our_own_tests_pass_under_windows(windows: WindowsPython) -> None:
    """With the wheel that users get, on the interpreter that users have."""
    outcome = windows.run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        windows_path(ROOT / "pyproject.toml"),
        "--rootdir",
        windows_path(ROOT),
        *(windows_path(ROOT / name) for name in SUITE),
        timeout_s=900,
    )
    said = outcome.stdout.decode("cp949", "replace")
    assert outcome.code == 0, said[-4000:]
    assert int(re.search(r"(\d+) passed", said)[1]) > 250  # type: ignore[index]


def write_little_llama(path: Path) -> None:
    """A llama of one layer, its weights a hole in the file."""
    f32, q4_k = 0, 12
    width, hidden, vocabulary = 256, 512, 100
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.name": "꼬마",
        "general.file_type": 15,
        "llama.block_count": 1,
        "llama.embedding_length": width,
        "llama.feed_forward_length": hidden,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 4,
        "llama.context_length": 8192,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [f"낱말{number}" for number in range(vocabulary)],
    }
    shapes = {"attn_q": width, "attn_k": width, "attn_v": width, "attn_output": width}
    tensors = [
        ("token_embd.weight", (width, vocabulary), q4_k, vocabulary * 144),
        ("output_norm.weight", (width,), f32, width * 4),
        ("blk.0.attn_norm.weight", (width,), f32, width * 4),
        ("blk.0.ffn_norm.weight", (width,), f32, width * 4),
        *((f"blk.0.{name}.weight", (width, rows), q4_k, rows * 144) for name, rows in shapes.items()),
        ("blk.0.ffn_gate.weight", (width, hidden), q4_k, hidden * 144),
        ("blk.0.ffn_up.weight", (width, hidden), q4_k, hidden * 144),
        ("blk.0.ffn_down.weight", (hidden, width), q4_k, width * 288),
    ]
    sparse_gguf.write(path, metadata, tensors)
