"""Model files that lie: refused in one line, within a second and 100 MiB, whatever they claim."""

import json
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from probe.errors import InputError
from probe.messages import t
from probe.model_files.gguf import read_gguf
from probe.model_files.open_model import open_model
from probe.model_files.safetensors import read_checkpoint, read_safetensors
from probe.units import MIB
from tests.rig.sparse_gguf import header, text, value, write

F32, Q4_0 = 0, 2
HUGE = (2**63).to_bytes(8, "little")
MINUS_ONE = b"\xff" * 8


def refusal(read: Callable[[], object]) -> str:
    """The message key of a refusal that was quick, small, and fits one line in both languages."""
    tracemalloc.start()
    begun = time.thread_time()
    try:
        with pytest.raises(InputError) as error:
            read()
        spent = time.thread_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < 3
    assert peak < 100 * MIB
    check_one_line(error.value)
    return error.value.key.removeprefix("model_files.")


def check_one_line(error: InputError) -> None:
    for language in ("en", "ko"):
        sentence = t(error.key, language, **error.facts)
        assert "\n" not in sentence
        assert len(sentence) < 1_000
    assert error.exit_code == 2


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def counts(tensors: int, entries: int) -> bytes:
    return b"GGUF" + u32(3) + tensors.to_bytes(8, "little") + entries.to_bytes(8, "little")


KEY = counts(0, 1) + text("k")
TENSOR = counts(1, 0) + text("t")
LIES = {
    "2^63 tensors": counts(2**63, 0),
    "2^63 metadata entries": counts(0, 2**63),
    "2^64-1 of both": counts(2**64 - 1, 2**64 - 1),
    "a key of negative length": counts(0, 1) + MINUS_ONE,
    "a text of negative length": KEY + u32(8) + MINUS_ONE,
    "an array of 2^63 numbers": KEY + u32(9) + u32(4) + HUGE,
    "an array of 2^63 strings": KEY + u32(9) + u32(8) + HUGE,
    "a string of 2^63 in an array": KEY + u32(9) + u32(8) + (2).to_bytes(8, "little") + HUGE,
    "a value of unknown type": KEY + u32(13),
    "an array of unknown type": KEY + u32(9) + u32(77),
    "the same key twice": counts(0, 2) + (text("k") + value(1)) * 2,
    "an alignment of three": counts(0, 1) + text("general.alignment") + value(3),
    "an alignment of zero": counts(0, 1) + text("general.alignment") + value(0),
    "an alignment in words": counts(0, 1) + text("general.alignment") + value("32"),
    "a key that is no text": counts(0, 1) + text(b"\xff\xfe") + value(1),
    "five dimensions": TENSOR + u32(5) + bytes(60),
    "no dimensions": TENSOR + bytes(60),
    "a dimension of zero": TENSOR + u32(1) + bytes(60),
    "dimensions that overflow": TENSOR + u32(4) + HUGE * 4 + bytes(12),
    "an offset of 2^63": TENSOR + u32(1) + (1).to_bytes(8, "little") + u32(F32) + HUGE,
    "an offset between places": TENSOR
    + u32(1)
    + (1).to_bytes(8, "little")
    + u32(F32)
    + (4).to_bytes(8, "little"),
    "a thousand nested arrays": KEY + u32(9) * 1_000,
    "a million nested arrays": KEY + u32(9) * 1_000_000,
    "terminal escapes in a name": counts(0, 2) + (text("\x1b[2J\n" * 8) + value(1)) * 2,
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_gguf_header_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "lie.gguf"
    path.write_bytes(LIES[name] + bytes(256))
    assert refusal(lambda: read_gguf(path))


def test_two_tensors_in_one_place_are_refused(tmp_path: Path) -> None:
    first = text("a") + u32(1) + (64).to_bytes(8, "little") + bytes(12)
    path = tmp_path / "x.gguf"
    path.write_bytes(counts(2, 0) + first + first.replace(b"a", b"b") + bytes(4096))
    assert refusal(lambda: read_gguf(path)) == "gguf_tensors_overlap"


def test_a_row_that_is_no_whole_block_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", {}, [("t", (100, 4), Q4_0, 256)])
    assert refusal(lambda: read_gguf(path)) == "gguf_tensor_shape"


@pytest.mark.parametrize("claim", ["strings", "tensors", "entries"])
def test_endless_zeros_do_not_keep_us_busy(tmp_path: Path, claim: str) -> None:
    """A hole of 100 GB is full of strings without letters, keys without names and tensors without size."""
    many = 10**9
    beginning = {
        "strings": KEY + u32(9) + u32(8) + many.to_bytes(8, "little"),
        "tensors": counts(many, 0),
        "entries": counts(0, many),
    }[claim]
    path = tmp_path / "zeros.gguf"
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(100 * 10**9)
    assert refusal(lambda: read_gguf(path))


def test_the_largest_arrays_allowed_are_still_quick(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gguf"
    with path.open("wb") as file:
        file.write(KEY + u32(9) + u32(8) + (1_999_999).to_bytes(8, "little"))
        file.truncate(10**9)
    begun = time.thread_time()
    assert read_gguf(path).array_lengths == {"k": 1_999_999}
    assert time.thread_time() - begun < 5


def gguf_seed() -> bytes:
    metadata = {
        "general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 64, "flag": True,
        "tokenizer.ggml.tokens": ["a", "b", "ccc"], "llama.rope.freq_base": 10000.0, "layers": [1, 2, 3],
        "tokenizer.ggml.scores": [0.5, 0.25], "general.alignment": 32, "llama.attention.head_count": 4,
    }  # fmt: skip
    tensors = [("token_embd.weight", (64, 3), 1, 384), ("blk.0.attn_q.weight", (64, 64), 2, 2304)]
    head, size = header(metadata, tensors)
    return head + bytes(size)


def safetensors_bytes(entries: object, data: int = 512) -> bytes:
    head = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(head).to_bytes(8, "little") + head + bytes(data)


def safetensors_seed() -> bytes:
    return safetensors_bytes(
        {
            "__metadata__": {"format": "pt"},
            "model.embed_tokens.weight": {"dtype": "BF16", "shape": [8, 16], "data_offsets": [0, 256]},
            "model.layers.0.mlp.up_proj.weight": {
                "dtype": "F8_E4M3",
                "shape": [16, 16],
                "data_offsets": [256, 512],
            },
        }
    )


def mutated(seed: bytes, random_source: random.Random) -> bytes:
    """A copy with a few bytes flipped, numbers made huge, pieces cut out, doubled or moved."""
    data = bytearray(seed)
    for _ in range(random_source.randint(1, 6)):
        place = random_source.randrange(len(data))
        kind = random_source.randrange(6)
        if kind == 0:
            data[place] ^= 1 << random_source.randrange(8)
        elif kind == 1:
            data[place : place + 8] = random_source.choice(
                (HUGE, MINUS_ONE, bytes(8), (2**31).to_bytes(8, "little"))
            )
        elif kind == 2:
            del data[place : place + random_source.randint(1, 40)]
        elif kind == 3:
            piece = bytes(data[place : place + random_source.randint(1, 40)])
            data[place:place] = piece * random_source.randint(1, 30)
        elif kind == 4:
            data[place : place + 4] = random_source.randbytes(4)
        else:
            data = data[: max(place, 1)]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_two_hundred_damaged_headers_are_read_or_refused(tmp_path: Path, suffix: str) -> None:
    """Each takes a moment and under 100 MiB; whatever is refused is refused in one line."""
    seed = gguf_seed() if suffix == "gguf" else safetensors_seed()
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(seed)
    assert open_model(str(path)).stored_tensors
    source = random.Random(20_261_121)  # noqa: S311  # the same damage on every run
    refused = 0
    for _ in range(200):
        path.write_bytes(mutated(seed, source))
        tracemalloc.start()
        begun = time.thread_time()
        try:
            open_model(str(path))
        except InputError as error:
            refused += 1
            check_one_line(error)
        spent, peak = time.thread_time() - begun, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert spent < 3
        assert peak < 100 * MIB
    assert refused > 100


def entry(dtype: object = "F32", shape: object = (2, 2), offsets: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


SAFETENSORS_LIES = {
    "a header longer than the file": (10**6).to_bytes(8, "little") + b"{}",
    "a header of 2^63 bytes": HUGE + b"{}",
    "a header of -1 bytes": MINUS_ONE + b"{}",
    "an empty file": b"",
    "no JSON": safetensors_bytes(b"not json at all"),
    "a list": safetensors_bytes([1, 2]),
    "a million open brackets": safetensors_bytes(b"[" * 1_000_000),
    "a million open objects": safetensors_bytes(b'{"a":' * 1_000_000),
    "an entry nested too deep": safetensors_bytes(b'{"a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
    "an entry that is a number": safetensors_bytes({"a": 5}),
    "a type that is a number": safetensors_bytes({"a": entry(dtype=32)}),
    "a negative size": safetensors_bytes({"a": entry(shape=(-2, -2))}),
    "a size of 2^63": safetensors_bytes({"a": entry(shape=(2**63, 2))}),
    "a size of 10^400": safetensors_bytes(
        b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 400 + b'], "data_offsets": [0, 4]}}'
    ),
    "offsets backwards": safetensors_bytes({"a": entry(offsets=(16, 0))}),
    "a negative offset": safetensors_bytes({"a": entry(offsets=(-16, 0))}),
    "data beyond the end": safetensors_bytes({"a": entry(shape=(2, 2_000), offsets=(0, 16_000))}),
    "a size against its shape": safetensors_bytes({"a": entry(offsets=(0, 20))}),
    "two tensors in one place": safetensors_bytes({"a": entry(), "b": entry()}),
    "three offsets": safetensors_bytes({"a": entry(offsets=(0, 8, 16))}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFETENSORS_LIES)
def test_a_lying_safetensors_header_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "lie.safetensors"
    path.write_bytes(SAFETENSORS_LIES[name])
    assert refusal(lambda: read_safetensors(path))


@pytest.mark.parametrize(
    "shard",
    [
        "../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..\\x.safetensors", "C:\\x.safetensors",
        "C:x.safetensors", ".hidden.safetensors", "x\u0000.safetensors", "", "model.bin",
        "a" * 300 + ".safetensors", "x\n.safetensors", "~/x.safetensors",
    ],
)  # fmt: skip
def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path, shard: str) -> None:
    index = {"weight_map": {"a": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert refusal(lambda: read_checkpoint(tmp_path)) == "shard_name"


@pytest.mark.parametrize(
    "text_of_index", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 100_000]
)
def test_a_damaged_index_is_refused(tmp_path: Path, text_of_index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text_of_index, encoding="utf-8")
    assert refusal(lambda: read_checkpoint(tmp_path)) == "index_damaged"


@pytest.mark.parametrize(
    "config",
    [
        "", "[]", "null", '"x"', "{", "[" * 100_000, '{"a":' * 100_000, "\ufeff{}",
        '{"hidden_size": 1e400, "num_hidden_layers": 2}', '{"hidden_size": -5, "num_hidden_layers": 2}',
    ],
)  # fmt: skip
def test_a_damaged_config_is_refused(tmp_path: Path, config: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(config, encoding="utf-8")
    assert refusal(lambda: open_model(str(path)))


def test_names_that_are_no_paths_are_refused() -> None:
    for name in ("a\0b.gguf", "x" * 5_000 + ".gguf", "/nowhere/at/all.gguf", "hf:"):
        assert refusal(lambda name=name: open_model(name))
