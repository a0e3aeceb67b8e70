"""Rows a user added, read from real files."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from probe.catalog.model_spec import StoredTensor
from probe.catalog.models import all_models, catalog_age_days, catalog_date, find_model, use_overlay
from probe.catalog.overlay import read_overlay, row_of, write_overlay
from probe.errors import InputError, UnknownNameError


@pytest.fixture(autouse=True)
def without_overlay_afterwards() -> Iterator[None]:
    yield
    use_overlay(None)


def test_an_added_model_is_found_by_its_names(tmp_path: Path) -> None:
    own = msgspec.structs.replace(
        find_model("llama-3.1-8b"),
        id="home/my-llama",
        alias="my-llama",
        name="My Llama",
        other_aliases=(),
        base_model="meta-llama/Llama-3.1-8B-Instruct",
    )
    with pytest.raises(UnknownNameError):
        find_model("my-llama")
    write_overlay(tmp_path, own)
    use_overlay(tmp_path)
    assert find_model("My Llama").id == "home/my-llama"
    assert find_model("llama-3.1-8b").id == "meta-llama/Llama-3.1-8B-Instruct"
    use_overlay(None)
    with pytest.raises(UnknownNameError):
        find_model("my-llama")


def test_a_users_row_takes_the_place_of_ours(tmp_path: Path) -> None:
    ours = find_model("qwen3-8b")
    count = len(all_models())
    write_overlay(tmp_path, msgspec.structs.replace(ours, max_context=131_072))
    use_overlay(tmp_path)
    assert find_model("qwen3-8b").max_context == 131_072
    assert find_model("Qwen/Qwen3-8B").max_context == 131_072
    assert len(all_models()) == count


def test_a_users_alias_wins_over_ours(tmp_path: Path) -> None:
    own = msgspec.structs.replace(find_model("phi-4"), id="home/other", alias="qwen3-8b", other_aliases=())
    write_overlay(tmp_path, own)
    use_overlay(tmp_path)
    assert find_model("qwen3-8b").id == "home/other"
    assert find_model("Qwen/Qwen3-8B").id == "Qwen/Qwen3-8B"


def test_a_row_keeps_shapes_and_leaves_the_tensors_of_the_file() -> None:
    tensor = StoredTensor(name="output.weight", shape=(1, 1), type="F32", size_bytes=4)
    file = msgspec.structs.replace(
        find_model("phi-4"), origin="gguf", stored_tensors=(tensor,), file_bytes=4, file_quantization="F32"
    )
    assert row_of(file) == msgspec.structs.replace(find_model("phi-4"), origin="own")


def test_several_rows_in_one_file_are_read(tmp_path: Path) -> None:
    rows = [find_model("phi-4"), find_model("qwen3-8b")]
    (tmp_path / "mine.json").write_bytes(msgspec.json.encode(rows))
    assert [row.id for row in read_overlay(tmp_path)] == [row.id for row in rows]
    assert read_overlay(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("content", [b"{", b"7", b'{"id": 3}', b'[{"name": "no id"}]', b"\xff\xfe"])
def test_a_damaged_row_names_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_overlay(tmp_path)
    assert str(refused.value.facts["path"]).endswith("bad.json")


def test_the_catalog_knows_its_age() -> None:
    assert catalog_age_days(catalog_date()) == 0
    assert catalog_age_days("2000-01-01") == 0
    year = int(catalog_date()[:4]) + 1
    assert 365 <= catalog_age_days(f"{year}{catalog_date()[4:]}") <= 366
