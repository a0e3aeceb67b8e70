"""GGUF headers: against gguf-py on files it wrote, and against hand-made files it would refuse."""

import time
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from probe.errors import InputError
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors import parameter_count
from probe.estimate.weights import gguf_weights, stored_weights
from probe.model_files.gguf import HeaderIncompleteError, parse_gguf, read_gguf
from probe.model_files.open_model import open_model
from probe.units import GB, MIB
from tests.rig.sparse_gguf import header, write

F32, F16, Q8_0, Q4_K = 0, 1, 8, 12
LLAMA = {
    "general.architecture": "llama", "general.name": "Little", "general.file_type": 15,
    "llama.block_count": 1, "llama.embedding_length": 256, "llama.feed_forward_length": 512,
    "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.context_length": 4096,
}  # fmt: skip
TENSORS = [
    ("token_embd.weight", (256, 100), Q4_K, 100 * 144),
    ("output_norm.weight", (256,), F32, 1024),
    ("blk.0.attn_norm.weight", (256,), F32, 1024),
    ("blk.0.attn_q.weight", (256, 256), Q4_K, 256 * 144),
    ("blk.0.attn_k.weight", (256, 128), Q4_K, 128 * 144),
    ("blk.0.attn_v.weight", (256, 128), Q8_0, 128 * 272),
    ("blk.0.attn_output.weight", (256, 256), Q4_K, 256 * 144),
    ("blk.0.ffn_norm.weight", (256,), F32, 1024),
    ("blk.0.ffn_gate.weight", (256, 512), Q4_K, 512 * 144),
    ("blk.0.ffn_up.weight", (256, 512), Q4_K, 512 * 144),
    ("blk.0.ffn_down.weight", (512, 256), Q4_K, 256 * 288),
]


def refused(path: Path) -> str:
    """The message key of the refusal."""
    with pytest.raises(InputError) as error:
        read_gguf(path)
    return error.value.key.removeprefix("model_files.")


def test_headers_are_read_as_gguf_py_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "oracle.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("a.u8", 200)
    writer.add_int8("a.i8", -5)
    writer.add_uint16("a.u16", 60_000)
    writer.add_int16("a.i16", -300)
    writer.add_int32("a.i32", -70_000)
    writer.add_uint64("a.u64", 2**40)
    writer.add_int64("a.i64", -(2**40))
    writer.add_float32("a.f32", 0.5)
    writer.add_float64("a.f64", 1e300)
    writer.add_bool("a.bool", True)
    writer.add_string("a.text", "한국어")
    writer.add_array("a.flags", [True, False, True])
    writer.add_array("a.layers", [4, 4, 8])
    writer.add_token_list(["<s>", "안녕", "x"])
    writer.add_custom_alignment(64)
    rng = np.random.default_rng(1)
    for name, shape, kind in (("one", (3, 256), "Q4_K"), ("two", (5, 64), "Q8_0"), ("three", (7,), "F32")):
        data = rng.random(shape, dtype=np.float32)
        qtype = gguf.GGMLQuantizationType[kind]
        stored = (
            data if kind == "F32" else np.zeros(gguf.quant_shape_to_byte_shape(shape, qtype), dtype=np.uint8)
        )
        writer.add_tensor(name, stored, raw_dtype=None if kind == "F32" else qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    ours, theirs = read_gguf(path), gguf.GGUFReader(path)

    assert [(t.name, t.shape, t.type, t.size_bytes) for t in ours.tensors] == [
        (t.name, tuple(int(n) for n in t.shape), t.tensor_type.name, int(t.n_bytes)) for t in theirs.tensors
    ]
    fields = {name: field.contents() for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    tokens = fields.pop("tokenizer.ggml.tokens")
    assert ours.array_lengths["tokenizer.ggml.tokens"] == len(tokens)
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in ours.metadata.items()} == fields


def test_a_vocabulary_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    tokens = [f"token{number}" for number in range(152_000)]
    path = write(tmp_path / "big.gguf", LLAMA | {"tokenizer.ggml.tokens": tokens}, TENSORS)
    tracemalloc.start()
    begun = time.thread_time()
    found = read_gguf(path)
    spent = time.thread_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.array_lengths["tokenizer.ggml.tokens"] == 152_000
    assert "tokenizer.ggml.tokens" not in found.metadata
    assert peak < 1 * MIB
    assert spent < 3


def test_a_file_of_a_hundred_gigabytes_is_only_its_header(tmp_path: Path) -> None:
    tensors = [(f"blk.{n}.ffn_up.weight", (16_384, 61_440), F16, 16_384 * 61_440 * 2) for n in range(50)]
    path = write(tmp_path / "huge.gguf", LLAMA, tensors)
    tracemalloc.start()
    begun = time.thread_time()
    found = read_gguf(path)
    spent = time.thread_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.file_bytes > 100 * GB
    assert spent < 3
    assert peak < 4 * MIB


def test_a_gguf_becomes_a_model_with_exact_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "little-Q4_K_M.gguf", LLAMA, TENSORS)
    model = open_model(str(path))
    assert model.path == str(path)
    assert (model.name, model.architecture, model.file_quantization) == ("Little", "llama", "Q4_K_M")
    assert model.max_context == 4096
    assert model.dimensions is not None
    assert model.dimensions.tie_word_embeddings
    assert (
        model.params_text == sum(int(np.prod(shape)) for _, shape, _, _ in TENSORS) == parameter_count(model)
    )
    weights = gguf_weights(model, "Q4_K_M")
    assert weights.file_bytes == sum(size for *_, size in TENSORS)
    assert weights.token_embedding_bytes == 14_400
    assert weights.output_bytes == 1_024


def test_the_length_of_a_skipped_vocabulary_is_kept(tmp_path: Path) -> None:
    """Real files name no vocab_size; without it nothing could be said of the logits buffer."""
    path = write(tmp_path / "x.gguf", LLAMA | {"tokenizer.ggml.tokens": ["a"] * 100}, TENSORS)
    metadata = open_model(str(path)).gguf_metadata
    assert metadata is not None
    assert metadata["llama.vocab_size"] == 100


def test_experts_that_a_token_leaves_alone_are_not_active(tmp_path: Path) -> None:
    metadata = LLAMA | {"llama.expert_count": 8, "llama.expert_used_count": 2}
    dense = [row for row in TENSORS if not row[0].startswith("blk.0.ffn_")]
    experts = ("blk.0.ffn_up_exps.weight", (256, 512, 8), F16, 256 * 512 * 8 * 2)
    model = open_model(str(write(tmp_path / "moe.gguf", metadata, [*dense, experts])))
    assert model.params_text is not None
    assert model.params_active == model.params_text - 256 * 512 * 6


def test_an_unknown_architecture_has_exact_weights_and_nothing_guessed(tmp_path: Path) -> None:
    metadata = {key.replace("llama.", "martian."): entry for key, entry in LLAMA.items()}
    path = write(tmp_path / "m.gguf", metadata | {"general.architecture": "martian"}, TENSORS)
    model = open_model(str(path))
    assert model.dimensions is None
    assert model.gguf_metadata is None
    assert stored_weights(model).file_bytes == sum(size for *_, size in TENSORS)
    with pytest.raises(NotModeledError):
        parameter_count(model)


def test_a_type_of_a_later_version_is_sized_by_its_neighbours(tmp_path: Path) -> None:
    tensors = [
        ("a.weight", (256, 4), 250, 640),
        ("b.weight", (256, 4), F32, 4096),
        ("c.weight", (64,), 251, 96),
    ]
    found = read_gguf(write(tmp_path / "new.gguf", LLAMA, tensors))
    assert [(t.type, t.size_bytes) for t in found.tensors] == [
        ("type 250", 640),
        ("F32", 4096),
        ("type 251", 96),
    ]


@pytest.mark.parametrize(
    ("kind", "name", "row_bytes"), [(39, "MXFP4", 136), (40, "NVFP4", 144), (23, "IQ4_XS", 136)]
)
def test_four_bit_types_of_today_are_known(tmp_path: Path, kind: int, name: str, row_bytes: int) -> None:
    """Blocks of 17 bytes per 32, 36 per 64 and 136 per 256 weights."""
    found = read_gguf(write(tmp_path / "x.gguf", LLAMA, [("a.weight", (256, 8), kind, 8 * row_bytes)]))
    assert (found.tensors[0].type, found.tensors[0].size_bytes) == (name, 8 * row_bytes)


def split(folder: Path, parts: int = 3) -> list[Path]:
    """A model in parts, as llama-gguf-split writes them."""
    paths = []
    for number in range(parts):
        metadata: dict[str, object] = {
            "split.no": number,
            "split.count": parts,
            "split.tensors.count": len(TENSORS),
        }
        own = TENSORS[number::parts]
        name = f"m-{number + 1:05d}-of-{parts:05d}.gguf"
        paths.append(write(folder / name, (LLAMA | metadata) if number == 0 else metadata, own))
    return paths


def test_any_part_of_a_split_file_means_the_whole_model(tmp_path: Path) -> None:
    paths = split(tmp_path)
    whole = [open_model(str(path)) for path in paths]
    folder = open_model(str(tmp_path))
    for model in (*whole, folder):
        assert gguf_weights(model, "Q4_K_M").file_bytes == sum(size for *_, size in TENSORS)
        assert model.file_bytes == sum(path.stat().st_size for path in paths)
        assert model.name == "Little"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = split(tmp_path)
    paths[1].unlink()
    with pytest.raises(InputError) as error:
        read_gguf(paths[0])
    assert error.value.key == "model_files.split_missing"
    assert error.value.facts["path"] == "m-00002-of-00003.gguf"


def test_parts_that_are_each_other_are_refused(tmp_path: Path) -> None:
    paths = split(tmp_path)
    paths[1].unlink()
    paths[1].symlink_to(paths[0])
    assert refused(paths[2]) == "split_order"


def test_a_renamed_part_is_refused(tmp_path: Path) -> None:
    assert refused(split(tmp_path)[0].rename(tmp_path / "model.gguf")) == "split_name"


def test_a_part_from_another_split_is_refused(tmp_path: Path) -> None:
    paths = split(tmp_path)
    (tmp_path / "other").mkdir()
    split(tmp_path / "other", parts=2)[1].replace(paths[1])
    assert refused(paths[0]) == "split_order"


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        (b"GGUF\x00\x00\x00\x03" + bytes(64), "gguf_big_endian"),
        (b"GGUF\x01\x00\x00\x00" + bytes(64), "gguf_version"),
        (b"GGUF\x04\x00\x00\x00" + bytes(64), "gguf_version"),
        (b"GGML" + bytes(64), "not_gguf"),
        (b"GG", "not_gguf"),
        (b"", "not_gguf"),
    ],
)
def test_what_is_no_gguf_we_read_is_named(tmp_path: Path, prefix: bytes, key: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(prefix)
    assert refused(path) == key


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    head, size = header(LLAMA, TENSORS)
    whole = head + bytes(size)
    path = tmp_path / "cut.gguf"
    for length in [*range(0, len(head), 7), *range(len(head), len(whole) - 1, 9_973), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert refused(path) in {"not_gguf", "gguf_ends_early", "gguf_count_impossible", "gguf_truncated"}
    path.write_bytes(whole)
    assert len(read_gguf(path).tensors) == len(TENSORS)


def test_the_beginning_of_a_file_is_enough_and_says_when_it_is_not() -> None:
    tokens = ["word"] * 5_000
    head, size = header(LLAMA | {"tokenizer.ggml.tokens": tokens}, TENSORS)
    have = 64
    while True:
        try:
            found = parse_gguf(head[:have], file_bytes=len(head) + size, name="x")
            break
        except HeaderIncompleteError as more:
            assert have < more.needed <= len(head)
            have = max(more.needed, 2 * have)
    assert len(found.tensors) == len(TENSORS)


@pytest.mark.parametrize("what", ["folder", "device", "missing"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    path = {"folder": tmp_path, "device": Path("/dev/zero"), "missing": tmp_path / "none.gguf"}[what]
    assert refused(path) in {"not_a_file", "unreadable"}


def test_sizes_no_model_has_leave_the_shapes_unknown(tmp_path: Path) -> None:
    for key, entry in {
        "llama.block_count": 2**31 - 1, "llama.embedding_length": 2**40, "llama.attention.head_count": "many",
    }.items():  # fmt: skip
        model = open_model(str(write(tmp_path / "x.gguf", LLAMA | {key: entry}, TENSORS)))
        assert model.dimensions is None
        assert stored_weights(model).file_bytes == sum(size for *_, size in TENSORS)
