"""ONNX files: what the reader finds, what it refuses, and the answers for small models beside a game."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.errors import InputError
from probe.model_files.onnx import read_onnx, safe_neighbour
from probe.model_files.open_model import open_model
from probe.recommender.answer import PlacementKind, Verdict
from probe.recommender.fit_onnx import OnnxEstimator
from probe.recommender.options import Options
from probe.report.build import build_check
from probe.units import GIB

TRUTH = Path(__file__).parents[1] / "truth"
INSIDE, OUTSIDE = TRUTH / "onnx" / "inside.onnx", TRUTH / "onnx" / "outside.onnx"
MEASURED: list[dict[str, Any]] = json.loads((TRUTH / "onnx_measured.json").read_text(encoding="utf-8"))[
    "rows"
]
GAMING_PC = "RTX 3060 12GB; 32GB DDR4-3200 x2; windows 11"
OFFICE_PC = "Core i5-8500; 16GB DDR4-2666 x2; windows 11"


# -- a writer of the wire format, to make what no honest program writes -----------------


def varint(value: int) -> bytes:
    found = bytearray()
    while True:
        found.append((value & 0x7F) | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(found)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(*dims: int, kind: int = 1, raw: bytes | None = None, **external: str) -> bytes:
    made = b"".join(number(1, size) for size in dims) + number(2, kind) + block(8, b"w")
    if raw is not None:
        made += block(9, raw)
    for key, value in external.items():
        made += block(13, block(1, key.encode()) + block(2, value.encode()))
    return made + (number(14, 1) if external else b"")


def model(*tensors: bytes) -> bytes:
    return block(7, b"".join(block(5, one) for one in tensors))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


# -- what an honest file says -----------------------------------------------------------


@pytest.mark.parametrize("path", [INSIDE, OUTSIDE], ids=["inside", "outside"])
def test_weights_are_those_that_the_onnx_package_wrote(path: Path) -> None:
    """Files of onnx 1.23.2: typed and raw values, a constant in a node, 4-bit integers, weights outside."""
    found = read_onnx(path)
    assert {one.name: (one.shape, one.type, one.size_bytes) for one in found.tensors} == {
        "const": ((3, 5), "F32", 60),
        "w1": ((48, 16), "F32", 3072),
        "w2": ((16, 10), "F16", 320),
        "b": ((16,), "F32", 64),
        "shape": ((2,), "I64", 16),
        "q4": ((7,), "I4", 4),
    }
    assert (found.nodes, found.producer, found.open_dimensions) == (6, "probe-test", ("batch",))
    assert (found.input_bytes, found.output_bytes, found.largest_value_bytes) == (192, 20, 192)


def test_the_onnx_package_reads_the_same(tmp_path: Path) -> None:
    import onnx

    loaded = onnx.load(INSIDE)
    expected = {one.name: tuple(one.dims) for one in loaded.graph.initializer}
    found = {one.name: one.shape for one in read_onnx(INSIDE).tensors}
    assert {name: found[name] for name in expected} == expected


def test_files_beside_the_model_count() -> None:
    assert (
        read_onnx(OUTSIDE).file_bytes == OUTSIDE.stat().st_size + (TRUTH / "onnx/weights.bin").stat().st_size
    )


# -- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF" + bytes(40),
        b"\xff" * 30,  # a number without an end
        block(7, b"")[:-1] + b"\x7f",  # a length beyond the file
        number(0, 1),
        b"\x0b\x0c",  # a group: not used by ONNX
        model(tensor(4, 4, raw=bytes(60))),  # 64 bytes by its shape
        model(tensor(4, 4, raw=bytes(68))),
        model(tensor(2**40, raw=bytes(4))),
        model(tensor(2**60, 2**60)),
        model(tensor(2**63, raw=b"")),  # a negative dimension
        model(tensor(1000)),  # no data at all
        model(tensor(4, kind=99, raw=bytes(4))),
        block(7, b"") + block(7, b""),  # two graphs
    ],
)
def test_damaged_and_lying_files_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError):
        read_onnx(written(tmp_path, content))


def test_graphs_nested_beyond_reason_are_refused(tmp_path: Path) -> None:
    inner = b""
    for _ in range(2000):
        inner = block(1, block(5, block(6, inner)))
    with pytest.raises(InputError):
        read_onnx(written(tmp_path, block(7, inner)))


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "/etc/hostname",
        "C:\\secret.bin",
        "..\\secret.bin",
        "a/../../secret.bin",
        "",
        "\\\\host\\share",
    ],
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    path = written(folder, model(tensor(4, 4, location=location, length="64")))
    with pytest.raises(InputError) as refused:
        read_onnx(path)
    assert refused.value.key == "model_files.onnx_outside"


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    try:
        (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    except OSError:
        pytest.skip("no symbolic links here")
    assert safe_neighbour(folder / "model.onnx", "weights.bin") is None
    assert safe_neighbour(folder / "model.onnx", "data/weights.bin") == folder.resolve() / "data/weights.bin"


@pytest.mark.parametrize(
    ("have", "said", "key"),
    [
        (None, {}, "model_files.onnx_missing"),
        (63, {}, "model_files.onnx_length"),
        (64, {"length": "63"}, "model_files.onnx_length"),
        (64, {"offset": "8"}, "model_files.onnx_length"),
        (64, {"offset": "-8"}, "model_files.onnx_length"),
    ],
)
def test_data_files_must_hold_what_is_said(
    tmp_path: Path, have: int | None, said: dict[str, str], key: str
) -> None:
    if have is not None:
        (tmp_path / "weights.bin").write_bytes(bytes(have))
    path = written(tmp_path, model(tensor(4, 4, location="weights.bin", **said)))
    with pytest.raises(InputError) as refused:
        read_onnx(path)
    assert refused.value.key == key


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 6000), at=st.integers(0, 5000), value=st.integers(0, 255))
def test_no_file_does_more_than_refuse(tmp_path: Path, cut: int, at: int, value: int) -> None:
    content = bytearray(INSIDE.read_bytes()[:cut])
    if at < len(content):
        content[at] = value
    try:
        found = read_onnx(written(tmp_path, bytes(content)))
    except InputError as refused:
        assert refused.key.startswith("model_files.")
    else:
        assert sum(tensor.size_bytes for tensor in found.tensors) <= found.file_bytes


# -- answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: f"{row['kind']}-{row['layers']}-{row['rows']}")
def test_resident_memory_of_onnx_runtime_lies_in_the_band(row: dict[str, Any], tmp_path: Path) -> None:
    """scripts/measure_onnx.py, ONNX Runtime 1.31.1 on a CPU: after three runs, Python not counted."""
    size = row["weights_bytes"] // 4
    (tmp_path / "weights.bin").touch()
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(row["weights_bytes"])
    said = block(1, number(1, 1) + block(2, block(1, number(1, row["value_bytes"] // 4))))
    ends = block(11, block(1, b"x") + block(2, said)) + block(12, block(1, b"y") + block(2, said))
    weights = block(5, tensor(size, location="weights.bin"))
    spec = open_model(str(written(tmp_path, block(7, weights + ends))))
    answer = OnnxEstimator(enrich(from_spec(OFFICE_PC)), Options()).estimate(spec)
    assert answer.memory_range is not None
    assert answer.memory_range.low <= row["after_runs"] <= answer.memory_range.high


def test_a_small_model_is_placed_and_says_what_stays() -> None:
    for machine, kind in ((GAMING_PC, PlacementKind.GPU), (OFFICE_PC, PlacementKind.CPU)):
        found = build_check(enrich(from_spec(machine)), open_model(str(INSIDE)), Options(), lang="en")
        assert (found.engine, found.placement.kind, found.verdict) == (
            "onnxruntime",
            kind,
            Verdict.COMFORTABLE,
        )
        assert found.memory.weights_bytes == 60 + 3072 + 320 + 64 + 16 + 4


def test_an_engine_for_language_models_does_not_load_it() -> None:
    found = build_check(
        enrich(from_spec(GAMING_PC)), open_model(str(INSIDE)), Options(engine="ollama"), lang="ko"
    )
    assert (found.fits, [code.code for code in found.reason_codes]) == (False, ["desktop.onnx.engine"])


@pytest.mark.parametrize(
    ("name", "reserve_gib", "kind", "quantization"),
    [
        ("qwen3-4b", 0, PlacementKind.GPU, "Q8_0"),
        ("qwen3-4b", 6, PlacementKind.GPU, "Q4_K_M"),  # fewer bits, still on the GPU
        ("qwen3-8b", 0, PlacementKind.GPU, "Q6_K"),
        ("qwen3-8b", 6, PlacementKind.HYBRID, "Q4_K_M"),  # a part goes to RAM
        ("qwen3-8b", 11, PlacementKind.CPU, "Q4_0"),  # nothing of the GPU is left
    ],
)
def test_a_game_takes_from_the_gpu_and_the_answer_follows(
    name: str, reserve_gib: int, kind: PlacementKind, quantization: str
) -> None:
    options = Options(reserve_bytes=reserve_gib * GIB)
    found = build_check(enrich(from_spec(GAMING_PC)), find_model(name), options, lang="en")
    codes = {code.code for code in found.reason_codes}
    assert (found.placement.kind, found.quantization) == (kind, quantization)
    assert ("desktop.reserve.kept" in codes) == (reserve_gib > 0 and kind is not PlacementKind.CPU)
    assert ("desktop.reserve.elsewhere" in codes) == (kind is PlacementKind.CPU)


def test_an_onnx_model_beside_a_game_says_what_remains() -> None:
    """12 GiB less 1 for the driver's and engine's margin, less 6 for the game."""
    options = Options(reserve_bytes=6 * GIB)
    found = build_check(enrich(from_spec(GAMING_PC)), open_model(str(INSIDE)), options, lang="en")
    left = next(
        code.values["left_bytes"] for code in found.reason_codes if code.code == "desktop.reserve.kept"
    )
    assert isinstance(left, int)
    assert 4 * GIB < left < 5 * GIB


def test_a_folder_with_one_onnx_model_is_that_model(tmp_path: Path) -> None:
    shutil.copy(INSIDE, tmp_path / "model.onnx")
    assert open_model(str(tmp_path)).origin == "onnx"
    shutil.copy(INSIDE, tmp_path / "other.onnx")
    with pytest.raises(InputError):
        open_model(str(tmp_path))


def test_a_copy_is_read_like_the_original(tmp_path: Path) -> None:
    for name in ("outside.onnx", "weights.bin"):
        shutil.copy(TRUTH / "onnx" / name, tmp_path / name)
    assert open_model(str(tmp_path / "outside.onnx")).file_bytes == open_model(str(OUTSIDE)).file_bytes
