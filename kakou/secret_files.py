"""Generated passwords, one file each, readable by their owner alone."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import SecretStr

from kakou.settings import Settings
from kakou.whole_files import draft_of


def secret(settings: Settings, name: str) -> SecretStr:
    """The secret called ``name``, made on first use.

    The file ``<var>/secrets/<name>`` is created with mode 600 and whole: two processes that ask at once get
    the same value. The value is URL-safe text of 32 characters.
    """
    path = secret_path(settings, name)
    try:
        return SecretStr(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        pass
    # Another process may be first, and then its value holds. Servers keep it, so it must outlive a power cut.
    with draft_of(path, private=True, durable=True, keep_first=True) as draft:
        draft.write_text(secrets.token_urlsafe(24), encoding="ascii")
    return SecretStr(path.read_text(encoding="ascii"))


def secret_path(settings: Settings, name: str) -> Path:
    """Where the secret called ``name`` is kept."""
    return settings.secrets_dir / name
