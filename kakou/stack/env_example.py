"""Renders ``.env.example`` from ``Settings``, so that the two cannot disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kakou.settings import PROJECT_ROOT, Settings

ENV_EXAMPLE: Final = PROJECT_ROOT / ".env.example"
_HEAD: Final = """\
# Made by `make env-example` from kakou/settings.py; do not edit.
# Copy to .env and take the # off a line to change it. Paths may be relative to where the command runs.
"""


def _text(value: object) -> str:
    if isinstance(value, Path) and value.is_relative_to(PROJECT_ROOT):
        return str(value.relative_to(PROJECT_ROOT))
    return str(value)


def render_env_example() -> str:
    """Each setting with what it is for and its default."""
    blocks = [
        f"# {field.description}\n# KAKOU_{name.upper()}={_text(field.default)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_HEAD, *blocks])


if __name__ == "__main__":
    ENV_EXAMPLE.write_text(render_env_example(), encoding="utf-8")
