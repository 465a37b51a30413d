"""``python -m serving.typescript``: writes the shapes of the API as TypeScript for the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from kakou.settings import PROJECT_ROOT
from serving import shapes
from serving.problems import InvalidField, Problem

TYPES_FILE: Final[Path] = PROJECT_ROOT / "web" / "src" / "api" / "types.ts"
_HEAD: Final = "// Written by `python -m serving.typescript` from serving/shapes.py. Do not edit.\n"
_WORDS: Final = {"integer": "number"}  # the other words are the same in both languages


def render() -> str:
    """The text of ``types.ts``: one interface per shape, in the order in which they are written."""
    models: list[type[BaseModel]] = []
    for model in vars(shapes).values():
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == shapes.__name__:
            models.append(model)
    models += [InvalidField, Problem]
    return _HEAD + "".join(map(_interface, models))


def _interface(model: type[BaseModel]) -> str:
    schema = model.model_json_schema(mode="serialization", ref_template="{model}")
    # What comes in may leave out what has a default; what goes out is always whole.
    required = set(schema.get("required", ())) if _comes_in(model) else set(schema["properties"])
    lines = [
        f"  {name}{'' if name in required else '?'}: {_type(prop)};"
        for name, prop in schema["properties"].items()
    ]
    return f"\nexport interface {model.__name__} {{\n" + "\n".join(lines) + "\n}\n"


def _comes_in(model: type[BaseModel]) -> bool:
    return model in (shapes.PassQuery, shapes.ReviewInput, shapes.Login) or model is Problem


def _type(prop: dict[str, Any]) -> str:
    if "$ref" in prop:
        return str(prop["$ref"])
    if "anyOf" in prop:
        return " | ".join(dict.fromkeys(_type(one) for one in prop["anyOf"]))
    if "enum" in prop:
        return " | ".join(f'"{word}"' for word in prop["enum"])
    if "const" in prop:
        return f'"{prop["const"]}"'
    if prop.get("type") == "array":
        inner = _type(prop["items"])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if prop.get("type") == "object":
        return f"Record<string, {_type(prop['additionalProperties'])}>"
    word = str(prop["type"])
    return _WORDS.get(word, word)


if __name__ == "__main__":
    TYPES_FILE.write_text(render(), encoding="utf-8")
