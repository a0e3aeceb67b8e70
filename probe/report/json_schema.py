"""The JSON Schema of a document, made from its type."""

from collections.abc import Sequence
from typing import Any

import msgspec

Schema = dict[str, Any]


def document_schemas(documents: Sequence[type]) -> tuple[list[Schema], dict[str, Schema]]:
    """One reference per document and the definitions they point at (`#/$defs/...`).

    Every field is required: we always write all of them, what is not known is null.
    """
    references, components = msgspec.json.schema_components(documents, ref_template="#/$defs/{name}")
    for component in components.values():
        if "properties" in component:
            component["required"] = sorted(component["properties"])
    return list(references), components
