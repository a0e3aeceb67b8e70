"""What a published schema promises, property by property: `python scripts/release/schema_shape.py --freeze`.

`tests/contract/schema_1/shapes.json` holds every property that was ever published in
schema version 1, with its types. `--freeze` adds new ones after a release; it refuses
to drop or change one: that needs schema version 2 (reports/schema/README.md).
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final = ROOT / "reports" / "schema"
FROZEN: Final = ROOT / "tests" / "contract" / "schema_1" / "shapes.json"
Shape = Mapping[str, str]


def shape_of(schema: Mapping[str, Any]) -> dict[str, str]:
    """Every property as `report.machine.cpu.brand` or `models[].name`, with its types.

    A closed list of words counts as the type string and its words as `word:...`.
    """
    found: dict[str, set[str]] = {}
    for path, kind in _walk(schema, schema["$defs"], "", ()):
        found.setdefault(path, set()).add(kind)
    return {path: "|".join(sorted(kinds)) for path, kinds in sorted(found.items())}


def _walk(
    node: Mapping[str, Any], definitions: Mapping[str, Any], path: str, above: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in above:
            yield path, "object"
        else:
            yield from _walk(definitions[name], definitions, path, (*above, name))
        return
    for choice in node.get("anyOf", ()):
        yield from _walk(choice, definitions, path, above)
    words = node.get("enum", [node["const"]] if "const" in node else [])
    for word in words:
        yield path, "null" if word is None else type(word).__name__.replace("str", "string")
        yield path, f"word:{word}"
    kind = node.get("type")
    for one in [kind] if isinstance(kind, str) else kind or ():
        yield path, one
    for name, inner in node.get("properties", {}).items():
        yield from _walk(inner, definitions, f"{path}.{name}" if path else name, above)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _walk(node["additionalProperties"], definitions, f"{path}{{}}", above)
    for item in [node["items"]] if isinstance(node.get("items"), dict) else node.get("prefixItems", ()):
        yield from _walk(item, definitions, f"{path}[]", above)


def published() -> dict[str, dict[str, str]]:
    """The shapes of all schemas of version 1 as they are now."""
    files = sorted(SCHEMAS.glob("*-1.json"))
    return {
        path.name.removesuffix("-1.json"): shape_of(json.loads(path.read_text(encoding="utf-8")))
        for path in files
    }


def broken_promises(frozen: Mapping[str, Shape], now: Mapping[str, Shape]) -> list[str]:
    """What a reader written against `frozen` would stumble over, one sentence each.

    New documents, new properties and new words of a closed list are allowed.
    """
    problems = []
    for kind, shape in frozen.items():
        if kind not in now:
            problems.append(f"{kind}: the document is gone")
            continue
        for path, types in shape.items():
            there = now[kind].get(path, "")
            if not there:
                problems.append(f"{kind}: {path or 'the document'} is gone")
                continue
            lost = set(types.split("|")) - set(there.split("|"))
            gained = {
                name for name in set(there.split("|")) - set(types.split("|")) if not name.startswith("word:")
            }
            if lost or gained:
                problems.append(f"{kind}: {path or 'the document'} was {types} and is {there}")
    return problems


def main() -> int:
    """Compare, and with `--freeze` add what is new."""
    now = published()
    frozen = json.loads(FROZEN.read_text(encoding="utf-8")) if FROZEN.exists() else {}
    problems = broken_promises(frozen, now)
    for problem in problems:
        print(problem)
    if problems:
        print("Published in schema version 1: raise schema_version to 2.0 and write new schema files.")
        return 1
    if "--freeze" in sys.argv[1:]:
        text = json.dumps(now, indent=0, ensure_ascii=False, sort_keys=True) + "\n"
        FROZEN.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
