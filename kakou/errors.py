"""Every error that Kakou raises on purpose: one parent, one child per kind.

A message is one sentence that names what is wrong and what the reader can do about it. A bad *row* is no
exception but a value (see ``Reject``): one unreadable photograph must not stop a million good ones.
"""

from __future__ import annotations

from dataclasses import dataclass


class KakouError(Exception):
    """Parent of all; the command line prints its message without a traceback and exits 1."""


class SettingsError(KakouError):
    """A setting is missing or cannot hold. The operator mends the environment variable or ``.env``."""


class InstallError(KakouError):
    """A part could not be installed. The operator does what the message says, then runs the command again."""


class PortTakenError(KakouError):
    """A port of ours is taken. The operator sets ``KAKOU_PORT_OFFSET`` or ends the other program."""


class ServiceError(KakouError):
    """A service did not start or did not answer. The operator reads the log that the message names."""


class StorageError(KakouError):
    """A database, Redis or the broker refuses or is away. Retried with a cap; then the job stops loudly."""


class SchemaError(StorageError):
    """A node's tables are older or newer than this code. The operator runs what the message names."""


class DiskFullError(KakouError):
    """No room is left where the message says. The operator frees room and runs the command again."""


class RawFolderError(KakouError):
    """The raw folder is missing or empty. The operator names another with ``--raw`` or ``RAW=``."""


class BadInputError(KakouError):
    """A file, a column or an argument cannot be used. The operator mends what the message names."""


class TooLittleDataError(KakouError):
    """There are too few observed hours to train or forecast. The operator adds days to the raw folder."""


class StateFormatError(KakouError):
    """A checkpoint was written by another version. The operator does what the message says."""


class TopologyError(KakouError):
    """``mycat_conf/`` is inconsistent. The operator mends the XML file that the message names."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be understood: why, and its bytes as they came.

    Attributes:
        reason: a stable word such as ``column_count`` or ``bad_time``; counted, never translated.
        raw: the original bytes, untouched.
    """

    reason: str
    raw: bytes
