"""Edge: the folders that services share, and the paths of their sockets."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from kakou.disk_room import told_when_disk_is_full
from kakou.errors import SettingsError
from kakou.settings import Settings

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
