"""``.env.example`` is what the settings say."""

from __future__ import annotations

from pathlib import Path

from kakou.settings import Settings, load_settings
from kakou.stack.env_example import ENV_EXAMPLE, render_env_example


def test_the_file_is_rendered_from_the_settings() -> None:
    assert ENV_EXAMPLE.read_text(encoding="utf-8") == render_env_example(), "run `make env-example`"


def test_its_values_are_the_defaults(tmp_path: Path) -> None:
    example = tmp_path / ".env"
    lines = render_env_example().splitlines()
    example.write_text("\n".join(line.removeprefix("# ") for line in lines if line.startswith("# KAKOU_")))
    told = load_settings(_env_file=example).model_dump(exclude={"var", "parts"})
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert told == {name: value for name, value in defaults.items() if name in told}
