"""Write catalogs/models/gguf_architectures.json: which llama.cpp architecture a config.json class becomes.

    python scripts/build_gguf_architectures.py PATH_TO_LLAMA_CPP --version b11434 --retrieved 2026-11-21

Reads the classes of conversion/*.py (`@ModelBase.register("LlamaForCausalLM")`, `model_arch`,
inherited where a class names none) and the names in gguf-py/gguf/constants.py.
"""

import argparse
import ast
import json
from pathlib import Path
from typing import NamedTuple

OUTPUT = Path(__file__).resolve().parent.parent / "catalogs" / "models" / "gguf_architectures.json"
NOT_TEXT = {"MMPROJ"}


class Converter(NamedTuple):
    """One converter class: what it is registered for, its bases, its own architecture, its file."""

    registered: tuple[str, ...]
    bases: tuple[str, ...]
    architecture: str | None
    file: str


def converters(folder: Path) -> dict[str, Converter]:
    found: dict[str, Converter] = {}
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = Converter(
                    registered=tuple(_registered(node)),
                    bases=tuple(base.id for base in node.bases if isinstance(base, ast.Name)),
                    architecture=_architecture(node),
                    file=path.name,
                )
    return found


def _registered(node: ast.ClassDef) -> list[str]:
    names: list[str] = []
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "attr", "") == "register":
            names += [str(arg.value) for arg in decorator.args if isinstance(arg, ast.Constant)]
    return names


def _architecture(node: ast.ClassDef) -> str | None:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Attribute):
            targets = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if "model_arch" in targets:
                return statement.value.attr
    return None


def inherited(name: str, classes: dict[str, Converter]) -> str | None:
    """The architecture of a class or of the first base that has one."""
    converter = classes.get(name)
    if converter is None:
        return None
    if converter.architecture is not None:
        return converter.architecture
    return next((found for base in converter.bases if (found := inherited(base, classes))), None)


def names_of_architectures(constants: Path) -> dict[str, str]:
    """`LLAMA` -> `llama`, from MODEL_ARCH_NAMES."""
    for node in ast.parse(constants.read_text(encoding="utf-8")).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if (
            isinstance(target, ast.Name)
            and target.id == "MODEL_ARCH_NAMES"
            and isinstance(node, ast.AnnAssign)
        ):
            table = node.value
            if isinstance(table, ast.Dict):
                return {
                    key.attr: str(value.value)
                    for key, value in zip(table.keys, table.values, strict=True)
                    if isinstance(key, ast.Attribute) and isinstance(value, ast.Constant)
                }
    raise SystemExit(f"no MODEL_ARCH_NAMES in {constants}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--retrieved", required=True)
    arguments = parser.parse_args()
    classes = converters(arguments.llama_cpp / "conversion")
    names = names_of_architectures(arguments.llama_cpp / "gguf-py" / "gguf" / "constants.py")
    rows = []
    for name, converter in classes.items():
        architecture = inherited(name, classes)
        if architecture is None or architecture in NOT_TEXT:
            continue
        for registered in converter.registered:
            rows.append(
                {
                    "config_class": registered,
                    "architecture": names[architecture],
                    "source": f"llama.cpp {arguments.version}, conversion/{converter.file}",
                    "retrieved": arguments.retrieved,
                }
            )
    rows.sort(key=lambda row: row["config_class"])
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    OUTPUT.write_text(f'{{"rows": [\n  {lines}\n]}}\n', encoding="utf-8")
    print(f"{len(rows)} rows in {OUTPUT.name}")


if __name__ == "__main__":
    main()
