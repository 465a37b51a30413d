"""Edge: writes configuration files whole and readable by their owner alone."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from kakou.errors import SettingsError
from kakou.settings import Settings
from kakou.stack.steps import told_when_disk_is_full

_LONGEST_SOCKET = 100  # Linux takes 107 bytes


def make_folders(settings: Settings) -> None:
    """Makes the folders that services share; those with secrets or sockets are the owner's alone."""
    with told_when_disk_is_full(settings.var):
        for folder, mode in (
            (settings.var, 0o755),
            (settings.secrets_dir, 0o700),
            (settings.run_dir, 0o700),
            (settings.data_dir, 0o700),
            (settings.log_dir, 0o755),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)


def write_private(path: Path, text: str) -> None:
    """Writes ``path`` with mode 600 by rename, so that a full disk or a kill leaves the old file.

    Raises:
        DiskFullError: no room is left.
    """
    # Several services of one process may write the same file at once, so the pid alone is not enough.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with told_when_disk_is_full(path.parent):
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


def socket_path(settings: Settings, name: str) -> Path:
    """Path of a Unix socket, in ``var/run`` unless that path is too long for one."""
    path = settings.run_dir / name
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    tag = hashlib.sha256(os.fsencode(settings.var)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"kakou-{os.getuid()}-{tag}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise SettingsError(f"{folder} belongs to another user. Set KAKOU_VAR to a shorter path.")
    return folder / name
