"""Generated passwords, one file each, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from kakou.settings import Settings


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
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(secrets.token_urlsafe(24))
    try:
        os.link(draft, path)  # fails if another process was first, and then its value holds
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return SecretStr(path.read_text(encoding="ascii"))


def secret_path(settings: Settings, name: str) -> Path:
    """Where the secret called ``name`` is kept."""
    return settings.secrets_dir / name
