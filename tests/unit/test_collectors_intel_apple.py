"""Intel and Apple GPUs: memory of cards without a file for it, cores and shares of Macs."""

import struct

import pytest

from probe.collectors.answers import Failure, Plain
from probe.collectors.apple import AppleTold, parse_compatible, parse_profiler, parse_registry
from probe.collectors.intel import parse_regions
from probe.collectors.local_drm import i915_regions, parse_i915, parse_xe, xe_regions
from probe.machine import AcceleratorKind, AcceleratorState, AttemptResult
from probe.units import GIB

REGION = struct.Struct("<HHIQQ64x")
ARC_BYTES = 17079205888


def i915_answer(*rows: tuple[int, int, int]) -> bytes:
    body = b"".join(REGION.pack(kind, 0, 0, total, free) for kind, total, free in rows)
    return struct.pack("<IIII", len(rows), 0, 0, 0) + body


def xe_answer(*rows: tuple[int, int, int]) -> bytes:
    body = b"".join(REGION.pack(kind, 0, 4096, total, used) for kind, total, used in rows)
    return struct.pack("<II", len(rows), 0) + body


def test_driver_that_hides_what_others_use_leaves_free_memory_unknown() -> None:
    """Without CAP_PERFMON i915 says all is free and xe says nothing is used."""
    assert parse_i915(i915_answer((0, 32 * GIB, 32 * GIB), (1, ARC_BYTES, ARC_BYTES))) == [
        [False, 32 * GIB, -1],
        [True, ARC_BYTES, -1],
    ]
    assert parse_xe(xe_answer((1, ARC_BYTES, 0))) == [[True, ARC_BYTES, -1]]


def test_driver_that_tells_what_is_used() -> None:
    assert parse_i915(i915_answer((1, ARC_BYTES, ARC_BYTES - GIB))) == [[True, ARC_BYTES, ARC_BYTES - GIB]]
    assert parse_xe(xe_answer((1, ARC_BYTES, GIB))) == [[True, ARC_BYTES, ARC_BYTES - GIB]]


def test_answer_shorter_than_it_says_is_read_as_far_as_it_goes() -> None:
    assert parse_i915(i915_answer((1, ARC_BYTES, 0))[:-8]) == []


class FakeDriver:
    """The ioctl of a kernel: first the length, then the answer, written where the request points."""

    def __init__(self, answer: bytes, *, item: bool) -> None:
        self.answer = answer
        self.item = item
        self.calls = 0

    def __call__(self, descriptor: int, request: int, block: bytearray) -> None:
        import ctypes

        self.calls += 1
        if self.item:
            (place,) = struct.unpack_from("<Q", block, 8)
            query, length, _, target = struct.unpack("<QiIQ", ctypes.string_at(place, 24))
            assert (request, query) == (0xC0106479, 4)
            if length:
                ctypes.memmove(target, self.answer, length)
            else:
                ctypes.memmove(place + 8, struct.pack("<i", len(self.answer)), 4)
        else:
            query, length, target = struct.unpack_from("<IIQ", block, 8)
            assert (request, query) == (0xC0286440, 1)
            if length:
                ctypes.memmove(target, self.answer, length)
            else:
                struct.pack_into("<I", block, 12, len(self.answer))


def test_both_drivers_are_asked_as_their_headers_say() -> None:
    old = FakeDriver(i915_answer((1, ARC_BYTES, ARC_BYTES)), item=True)
    assert i915_regions(3, old) == [[True, ARC_BYTES, -1]]
    new = FakeDriver(xe_answer((0, 32 * GIB, 0), (1, ARC_BYTES, GIB)), item=False)
    assert xe_regions(3, new) == [[False, 32 * GIB, -1], [True, ARC_BYTES, ARC_BYTES - GIB]]
    assert (old.calls, new.calls) == (2, 2)


def test_driver_that_names_an_absurd_length_is_not_believed() -> None:
    class Absurd(FakeDriver):
        def __call__(self, descriptor: int, request: int, block: bytearray) -> None:
            struct.pack_into("<I", block, 12, 2**31)

    answer = xe_regions(3, Absurd(b"", item=False))
    assert isinstance(answer, Failure)
    assert answer.result is AttemptResult.FAILED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([[False, 32 * GIB, -1], [True, ARC_BYTES, -1]], (ARC_BYTES, None)),
        ([[True, 8 * GIB, GIB], [True, 8 * GIB, 2 * GIB]], (16 * GIB, 3 * GIB)),  # two tiles
        ([[False, 32 * GIB, -1]], (None, None)),
        (Failure(AttemptResult.DENIED, "EACCES"), (None, None)),
        ("nonsense", (None, None)),
        ([[True], None, [True, "x", 0]], (None, None)),
    ],
)
def test_own_memory_of_an_intel_card(
    answer: Plain | Failure, expected: tuple[int | None, int | None]
) -> None:
    assert parse_regions(answer) == expected


def test_registry_names_chip_and_cores() -> None:
    text = '    {\n      "model" = "Apple M3 Pro"\n      "gpu-core-count" = 14\n    }\n'
    assert parse_registry(text) == AppleTold(chip="Apple M3 Pro", gpu_cores=14)
    assert parse_registry("") == AppleTold()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"SPDisplaysDataType": 5}', "\x00" * 100])
def test_damaged_profile_tells_nothing(text: str) -> None:
    assert parse_profiler(text) == AppleTold()


def test_profile_of_a_mac_with_an_intel_processor() -> None:
    text = """{"SPHardwareDataType": [{"cpu_type": "6-Core Intel Core i7", "physical_memory": "16 GB"}],
    "SPDisplaysDataType": [
     {"sppci_model": "Intel UHD Graphics 630", "sppci_bus": "spdisplays_builtin",
      "spdisplays_vram_shared": "1536 MB", "spdisplays_vendor": "Intel",
      "spdisplays_device-id": "0x3e9b"},
     {"sppci_model": "AMD Radeon Pro 5300M", "sppci_bus": "spdisplays_pcie_device",
      "spdisplays_vram": "4 GB", "spdisplays_vendor": "sppci_vendor_amd",
      "spdisplays_device-id": "0x7340"}]}"""
    told = parse_profiler(text)
    inside, card = told.displays
    assert told.memory_bytes == 16 * GIB
    assert (inside.kind, inside.memory_total_bytes) == (AcceleratorKind.INTEGRATED, None)
    assert (card.pci_id, card.memory_total_bytes) == ("1002:7340", 4 * GIB)
    assert card.state is AcceleratorState.BLOCKED


@pytest.mark.parametrize(
    ("text", "chip"),
    [
        ("apple,j313\0apple,t8103\0apple,arm-platform\0", "Apple M1"),
        ("apple,j314c\0apple,t6021\0apple,arm-platform\0", "Apple M2 Max"),
        ("apple,d22\0apple,t8015\0apple,arm-platform\0", None),  # an iPhone's
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", None),
    ],
)
def test_chip_of_a_device_tree(text: str, chip: str | None) -> None:
    assert parse_compatible(text) == chip
