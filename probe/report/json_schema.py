"""The JSON Schema of a document, made from its type."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

Schema = dict[str, Any]


def document_schemas(documents: Sequence[type]) -> tuple[list[Schema], dict[str, Schema]]:
    """One reference per document and the definitions they point at (`#/$defs/...`).

    Every field is required: we always write all of them, what is not known is null. Only
    rows of the catalog are written as the catalog holds them, without what they leave out.
    """
    references, components = msgspec.json.schema_components(
        documents, schema_hook=_anything, ref_template="#/$defs/{name}"
    )
    short = {struct.__name__ for struct in _structs(documents) if struct.__struct_config__.omit_defaults}
    for name, component in components.items():
        if "properties" in component and name not in short:
            component["required"] = sorted(component["properties"])
        if "description" in component:
            # Docstrings keep their indentation up to Python 3.12 only.
            component["description"] = inspect.cleandoc(component["description"])
    return list(references), components


def _anything(kind: type) -> Schema:
    """Metadata of a model file may hold any value."""
    if kind is object:
        return {"description": "any value"}
    raise NotImplementedError


def _structs(documents: Sequence[type]) -> Iterator[type[msgspec.Struct]]:
    """Every struct that the documents are made of, once."""
    from msgspec import inspect as types

    seen: set[type] = set()
    waiting = list(types.multi_type_info(documents))
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, types.StructType):
            if kind.cls in seen:
                continue
            seen.add(kind.cls)
            yield kind.cls
            waiting += [field.type for field in kind.fields]
        elif isinstance(kind, types.UnionType):
            waiting += kind.types
        elif isinstance(kind, types.DictType):
            waiting += [kind.key_type, kind.value_type]
        elif isinstance(kind, types.TupleType):
            waiting += kind.item_types
        elif isinstance(kind, types.VarTupleType | types.ListType):
            waiting.append(kind.item_type)
