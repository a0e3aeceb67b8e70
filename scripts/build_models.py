"""Builds catalogs/models/models.json, the one file the program loads, from the rows that people edit.

Rows live in catalogs/models/source/<vendor>.json, one key a line. Every row must have
a source and a date, known field names, an alias of its own, and parameters that add up
to what its checkpoint stores; otherwise nothing is written.

    python scripts/build_models.py          # check and write
    python scripts/build_models.py --check  # check, and compare with what is there
"""

import argparse
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.catalog.models import ExcludedModel, ModelsFile
from probe.catalog.validate import Problem, model_problems
from probe.estimate.identity import discrepancies
from probe.estimate.not_modeled import NotModeledError
from probe.messages import t

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "catalogs" / "models"
SCHEMA = ROOT / "catalogs" / "schema" / "model.schema.json"
SCHEMA_VERSION = 1

# Fields that only a file on somebody's disk has.
_NOT_IN_ROWS = frozenset(
    {"file_quantization", "stored_tensors", "file_bytes", "gguf_metadata", "hf_config", "origin", "path"}
)
_REQUIRED = [
    "id",
    "alias",
    "name",
    "vendor",
    "dimensions",
    "params_total",
    "confidence",
    "source",
    "retrieved",
]


def read_rows(folder: Path = MODELS / "source") -> list[dict[str, Any]]:
    """Rows of all source files, in the order of the file names."""
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        rows += json.loads(path.read_text(encoding="utf-8"))
    return rows


def read_models(rows: list[dict[str, Any]]) -> tuple[ModelSpec, ...]:
    """Typed rows.

    Raises:
        SystemExit: a row has a field that ModelSpec does not know, or a wrong type.
    """
    known = set(ModelSpec.__struct_fields__) - _NOT_IN_ROWS
    for row in rows:
        unknown = (set(row) - known) | (set(row.get("dimensions", {})) - set(Dimensions.__struct_fields__))
        if unknown:
            sys.exit(f"{row.get('id')}: unknown fields {sorted(unknown)}")
    try:
        return tuple(msgspec.convert(row, ModelSpec) for row in rows)
    except msgspec.ValidationError as error:
        sys.exit(f"a row has a wrong type: {error}")


def problems(models: tuple[ModelSpec, ...]) -> Iterator[str]:
    """What is wrong with the rows, one sentence each."""
    for problem in model_problems(models):
        yield _sentence(problem)
    for model in models:
        try:
            found = discrepancies(model)
        except NotModeledError as error:
            yield f"{model.id}: {t(error.key, 'en', **error.facts)}"
            continue
        for wrong in found:
            yield t(wrong.key, "en", id=model.id, counted=wrong.counted, stated=wrong.stated)


def _sentence(problem: Problem) -> str:
    return t(problem.key, "en", id=problem.id, detail=problem.detail)


def build(models: tuple[ModelSpec, ...]) -> bytes:
    """The file that the program loads."""
    updated = max(model.retrieved or "" for model in models)
    content = ModelsFile(schema_version=SCHEMA_VERSION, updated=updated, models=models)
    return msgspec.json.encode(content) + b"\n"


def schema() -> bytes:
    """JSON Schema of one source row, for editors and for the tests."""
    (row,), components = msgspec.json.schema_components(
        [ModelSpec], schema_hook=lambda _: {"description": "any value"}, ref_template="#/$defs/{name}"
    )
    model = components["ModelSpec"]
    model["properties"] = {k: v for k, v in model["properties"].items() if k not in _NOT_IN_ROWS}
    model["required"] = [*_REQUIRED, "source", "retrieved"]
    used = {name: components[name] for name in ("ModelSpec", "Dimensions", "Language")}
    for component in used.values():
        component["additionalProperties"] = False
        if "description" in component:  # Python 3.13 takes the indentation off docstrings, others keep it
            component["description"] = inspect.cleandoc(component["description"])
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rows of catalogs/models/source",
        "type": "array",
        "items": row,
        "$defs": used,
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def main() -> int:
    """Checks all rows; writes the built file, or with --check compares it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the files are old")
    arguments = parser.parse_args()
    models = read_models(read_rows())
    wrong = list(problems(models))
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    excluded = msgspec.json.decode((MODELS / "excluded.json").read_bytes(), type=tuple[ExcludedModel, ...])
    both = {model.id for model in models} & {row.id for row in excluded}
    if both:
        print(f"excluded and in the catalog: {sorted(both)}", file=sys.stderr)
        return 1
    outputs = {MODELS / "models.json": build(models), SCHEMA: schema()}
    for path, content in outputs.items():
        if arguments.check:
            if not path.is_file() or path.read_bytes() != content:
                print(f"{path.name} is older than its rows: run scripts/build_models.py", file=sys.stderr)
                return 1
        else:
            path.write_bytes(content)
    print(f"{len(models)} models, {len(excluded)} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
