"""ONNX files: weights, inputs and known intermediate values, read without the protobuf library.

Only field headers are read; tensor data is skipped. Every length is checked against
what is left of its message and of the file, data in other files must lie in the
model's own folder, and what a tensor stores must be what its shape needs.

Format: onnx/onnx.proto of onnx 1.23 (field numbers beside each reader) and
https://protobuf.dev/programming-guides/encoding.
"""

import mmap
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final, NamedTuple

import msgspec

from probe.catalog.model_spec import StoredTensor
from probe.errors import InputError
from probe.model_files.protobuf import BYTES, VARINT, Field, WireReader

_MAX_TENSORS: Final = 500_000
_MAX_DEPTH: Final = 12  # graphs inside nodes inside graphs
_MAX_DIMS: Final = 32
_MAX_WEIGHTS: Final = 2**50
# TensorProto.DataType: name and bits of one element
_TYPES: Final[dict[int, tuple[str, int]]] = {
    1: ("F32", 32), 2: ("U8", 8), 3: ("I8", 8), 4: ("U16", 16), 5: ("I16", 16), 6: ("I32", 32),
    7: ("I64", 64), 9: ("BOOL", 8), 10: ("F16", 16), 11: ("F64", 64), 12: ("U32", 32), 13: ("U64", 64),
    14: ("C64", 64), 15: ("C128", 128), 16: ("BF16", 16), 17: ("F8_E4M3", 8), 18: ("F8_E4M3", 8),
    19: ("F8_E5M2", 8), 20: ("F8_E5M2", 8), 21: ("U4", 4), 22: ("I4", 4), 23: ("F4", 4),
    24: ("F8_E8M0", 8), 25: ("U2", 2), 26: ("I2", 2),
}  # fmt: skip
_STRING: Final = 8
_EXTERNAL: Final = 1  # TensorProto.DataLocation


class OnnxModel(msgspec.Struct, frozen=True, kw_only=True):
    """What an ONNX file says about itself; value sizes with dimensions that are not fixed taken as 1."""

    path: str
    tensors: tuple[StoredTensor, ...]
    file_bytes: int  # with the files that hold its data
    nodes: int
    producer: str | None = None
    input_bytes: int = 0
    output_bytes: int = 0
    largest_value_bytes: int = 0  # among inputs, outputs and known intermediate values
    values_bytes: int = 0  # all of them together
    open_dimensions: tuple[str, ...] = ()  # names of dimensions that are not fixed, such as batch


class _Tensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    raw_bytes: int | None
    location: int
    external: dict[str, str]


class _Found:
    """What was collected on the way through the graphs."""

    def __init__(self) -> None:
        self.tensors: list[StoredTensor] = []
        self.external: dict[str, int] = {}  # file by file, the bytes that must be there
        self.nodes = 0
        self.values: list[int] = []
        self.open: dict[str, None] = {}
        self.inputs: list[tuple[str, int]] = []
        self.outputs: list[int] = []


class _Reader(WireReader):
    """Walks the graphs and keeps what is said about tensors and values."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        super().__init__(data, path)
        self.found = _Found()

    # -- messages ----------------------------------------------------------------------

    def model(self) -> str | None:
        """ModelProto: producer_name 2, graph 7, functions 25."""
        producer, graphs = None, 0
        for field in self.fields(0, len(self.data)):
            if field.number == 2:
                producer = self.text(field)
            elif field.number == 7:
                graphs += 1
                self.graph(*self.inside(field), depth=0)
            elif field.number == 25:
                self.function(*self.inside(field), depth=1)
        if graphs != 1:
            raise self.damaged("graph")
        return producer

    def graph(self, start: int, end: int, *, depth: int) -> None:
        """GraphProto: node 1, initializer 5, input 11, output 12, value_info 13, sparse_initializer 15."""
        if depth > _MAX_DEPTH:
            raise self.damaged("nested graphs")
        for field in self.fields(start, end):
            if field.number == 1:
                self.node(*self.inside(field), depth=depth)
            elif field.number == 5:
                self.tensor(*self.inside(field))
            elif field.number in (11, 12, 13):
                name, size = self.value(*self.inside(field))
                if field.number == 11 and depth == 0:
                    self.found.inputs.append((name, size))
                elif field.number == 12 and depth == 0:
                    self.found.outputs.append(size)
                else:
                    self.found.values.append(size)
            elif field.number == 15:
                for part in self.fields(*self.inside(field)):  # SparseTensorProto: values 1, indices 2
                    if part.number in (1, 2):
                        self.tensor(*self.inside(part))

    def function(self, start: int, end: int, *, depth: int) -> None:
        """FunctionProto: node 7."""
        for field in self.fields(start, end):
            if field.number == 7:
                self.node(*self.inside(field), depth=depth)

    def node(self, start: int, end: int, *, depth: int) -> None:
        """NodeProto: attribute 5; AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22."""
        self.found.nodes += 1
        for field in self.fields(start, end):
            if field.number != 5:
                continue
            for part in self.fields(*self.inside(field)):
                if part.number in (5, 10) and part.wire == BYTES:
                    self.tensor(*self.inside(part))
                elif part.number in (6, 11) and part.wire == BYTES:
                    self.graph(*self.inside(part), depth=depth + 1)

    def tensor(self, start: int, end: int) -> None:
        """One TensorProto, checked against what it stores."""
        said = self.said(start, end)
        if said.kind == _STRING:
            return
        if said.kind not in _TYPES:
            raise self.damaged(f"type {said.kind} of {said.name}")
        type_name, bits = _TYPES[said.kind]
        count = 1
        for size in said.shape:
            count *= size
        if len(said.shape) > _MAX_DIMS or count > _MAX_WEIGHTS:
            raise self.damaged(f"shape of {said.name}")
        need = -(-count * bits // 8)
        if said.location == _EXTERNAL:
            self.outside(said.name, need, said.external)
        elif said.raw_bytes is not None and said.raw_bytes != need:
            raise self.lies(said.name, need, said.raw_bytes)
        elif said.raw_bytes is None and -(-count * min(bits, 8) // 8) > end - start:
            # Values in fields of their own type take at least a byte each.
            raise self.lies(said.name, need, end - start)
        if len(self.found.tensors) >= _MAX_TENSORS:
            raise self.damaged("too many tensors")
        self.found.tensors.append(
            StoredTensor(name=said.name, shape=said.shape, type=type_name, size_bytes=need)
        )

    def lies(self, name: str, need: int, have: int) -> InputError:
        return InputError(
            "model_files.onnx_length",
            path=self.path.name,
            what=ascii(name)[:120],
            need_bytes=need,
            have_bytes=have,
        )

    def said(self, start: int, end: int) -> _Tensor:
        """TensorProto: dims 1, data_type 2, name 8, raw_data 9, external_data 13, data_location 14."""
        shape: list[int] = []
        kind, name, raw, location = 0, "", None, 0
        external: dict[str, str] = {}
        for field in self.fields(start, end):
            if field.number == 1:
                shape += self.dims(field)
            elif field.number == 2 and field.wire == VARINT:
                kind = field.value
            elif field.number == 8:
                name = self.text(field)
            elif field.number == 9:
                raw = field.value
            elif field.number == 13:
                key, value = self.pair(*self.inside(field))
                external[key] = value
            elif field.number == 14 and field.wire == VARINT:
                location = field.value
        return _Tensor(name, tuple(shape), kind, raw, location, external)

    def dims(self, field: Field) -> list[int]:
        if field.wire == VARINT:
            values = [field.value]
        else:
            values, (at, end) = [], self.inside(field)
            while at < end and len(values) <= _MAX_DIMS:
                value, at = self.varint(at, end)
                values.append(value)
        if any(value >= 2**62 for value in values):
            raise self.damaged("negative dimension")
        return values

    def pair(self, start: int, end: int) -> tuple[str, str]:
        """StringStringEntryProto: key 1, value 2."""
        key = value = ""
        for field in self.fields(start, end):
            if field.number == 1:
                key = self.text(field)
            elif field.number == 2:
                value = self.text(field)
        return key, value

    def value(self, start: int, end: int) -> tuple[str, int]:
        """ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; its elem_type 1 and shape 2 of dims 1."""
        name, bits, count = "", 0, 1
        for field in self.fields(start, end):
            if field.number == 1:
                name = self.text(field)
            if field.number != 2:
                continue
            for kind in self.fields(*self.inside(field)):
                if kind.number != 1 or kind.wire != BYTES:
                    continue
                for part in self.fields(*self.inside(kind)):
                    if part.number == 1 and part.wire == VARINT:
                        bits = _TYPES.get(part.value, ("", 0))[1]
                    elif part.number == 2:
                        count = self.shape(*self.inside(part))
        return name, min(-(-count * bits // 8), _MAX_WEIGHTS)

    def shape(self, start: int, end: int) -> int:
        """TensorShapeProto: dim 1; Dimension: dim_value 1, dim_param 2. What is not fixed counts once."""
        count = 1
        for dim in self.fields(start, end):
            if dim.number != 1:
                continue
            for part in self.fields(*self.inside(dim)):
                if part.number == 1 and part.wire == VARINT and 0 < part.value < 2**62:
                    count = min(count * part.value, _MAX_WEIGHTS)
                elif part.number == 2:
                    self.found.open.setdefault(self.text(part)[:60])
        return count

    def outside(self, name: str, need: int, entry: dict[str, str]) -> None:
        """Data in another file: it must lie in the model's folder and be long enough."""
        location = entry.get("location", "")
        whole = safe_neighbour(self.path, location)
        if whole is None:
            raise InputError("model_files.onnx_outside", path=self.path.name, location=ascii(location)[:200])
        offset, length = _number(entry.get("offset", "0")), _number(entry.get("length", str(need)))
        if offset is None or length is None or length < need:
            raise self.lies(name, need, length or 0)
        self.found.external[location] = max(self.found.external.get(location, 0), offset + length)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def safe_neighbour(model: Path, location: str) -> Path | None:
    """The file beside `model` that `location` names; None where it would leave the model's folder.

    Absolute paths, drives, `..` and links that lead elsewhere are refused.
    """
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    parts = (*posix.parts, *windows.parts)
    if not location or "\0" in location or posix.is_absolute() or windows.drive or windows.root:
        return None
    if ".." in parts or ":" in location:
        return None
    folder = model.parent.resolve()
    found = (folder / location).resolve()
    return found if found.is_relative_to(folder) else None


def read_onnx(path: Path) -> OnnxModel:
    """What an ONNX model holds, its weights in other files included.

    Raises:
        InputError: not readable, not ONNX, cut off, lying about lengths, or with data outside its folder.
    """
    try:
        size = path.stat().st_size if path.is_file() else 0
        if size == 0:
            raise InputError("model_files.onnx_damaged", path=path.name, what="file")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(data, path)
            producer = reader.model()
    except OSError as error:
        raise InputError("model_files.unreadable", path=path.name, detail=str(error)[:200]) from error
    found = reader.found
    weights = {tensor.name for tensor in found.tensors}
    inputs = [size for name, size in found.inputs if name not in weights]  # old files list weights too
    everything = [*inputs, *found.outputs, *found.values]
    return OnnxModel(
        path=str(path),
        tensors=tuple(found.tensors),
        file_bytes=size + _external_bytes(path, found.external),
        nodes=found.nodes,
        producer=producer,
        input_bytes=sum(inputs),
        output_bytes=sum(found.outputs),
        largest_value_bytes=max(everything, default=0),
        values_bytes=min(sum(everything), _MAX_WEIGHTS),
        open_dimensions=tuple(found.open)[:16],
    )


def _external_bytes(path: Path, wanted: dict[str, int]) -> int:
    total = 0
    for location, need in wanted.items():
        file = safe_neighbour(path, location)
        have = file.stat().st_size if file is not None and file.is_file() else None
        if have is None:
            raise InputError("model_files.onnx_missing", path=path.name, location=ascii(location)[:200])
        if have < need:
            raise InputError(
                "model_files.onnx_length",
                path=ascii(location)[:200],
                what="-",
                need_bytes=need,
                have_bytes=have,
            )
        total += have
    return total
