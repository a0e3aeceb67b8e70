"""The shapes a model's graph is built from: of the file's own tensors, else of its architecture."""

from functools import lru_cache

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.estimate.compute_graph.core import LayerTensors
from probe.estimate.tensors import ModelLayout, model_layout

_BLOCK = "blk."


class Shapes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Tensors outside the layers, and of every layer; equal layers are one mapping. Compared by identity."""

    outside: LayerTensors
    layers: tuple[LayerTensors, ...]

    def __hash__(self) -> int:
        return id(self)

    @property
    def kinds(self) -> tuple[int, ...]:
        """A number for each layer, equal where the tensors are equal."""
        return tuple(id(layer) for layer in self.layers)


_of_files: dict[int, tuple[ModelSpec, Shapes]] = {}


def shapes_of(spec: ModelSpec) -> Shapes:
    """The shapes of this model's tensors in llama.cpp's form.

    Raises:
        NotModeledError: the architecture or the shapes are not known.
    """
    if spec.origin == "gguf" and spec.stored_tensors is not None:
        known = _of_files.get(id(spec))
        if known is None or known[0] is not spec:
            known = _of_files[id(spec)] = (spec, _stored(spec))
        return known[1]
    return _of_layout(model_layout(spec))


@lru_cache(maxsize=1024)
def _of_layout(layout: ModelLayout) -> Shapes:
    templates = [{part.name: part.shape for part in parts} for parts in layout.templates]
    return Shapes(
        outside={part.name: part.shape for part in layout.outside},
        layers=tuple(templates[index] for index in layout.layers),
    )


def _stored(spec: ModelSpec) -> Shapes:
    outside: dict[str, tuple[int, ...]] = {}
    layers: dict[int, dict[str, tuple[int, ...]]] = {}
    for tensor in spec.stored_tensors or ():
        if tensor.name.startswith(_BLOCK):
            _, number, name = tensor.name.split(".", 2)
            layers.setdefault(int(number), {})[name] = tensor.shape
        else:
            outside[tensor.name] = tensor.shape
    distinct: dict[frozenset[tuple[str, tuple[int, ...]]], LayerTensors] = {}
    count = 1 + max(layers, default=-1)
    found = [layers.get(index, {}) for index in range(count)]
    return Shapes(
        outside=outside,
        layers=tuple(distinct.setdefault(frozenset(layer.items()), layer) for layer in found),
    )
