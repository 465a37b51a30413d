"""Edge: what a re-shard must remember if it is killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kakou.errors import StateFormatError
from kakou.settings import Settings
from kakou.whole_files import write_json


@dataclass(frozen=True, slots=True)
class Journal:
    """One re-shard under way.

    Attributes:
        old_nodes, new_nodes: nodes before and after, in ring order.
        moved: gate to the node that held it, for every gate that moves.
        stream: whether the stream ran and has to be started again.
    """

    old_nodes: tuple[str, ...]
    new_nodes: tuple[str, ...]
    moved: Mapping[str, str]
    stream: bool

    @property
    def added(self) -> tuple[str, ...]:
        """The nodes that come in."""
        return self.new_nodes[len(self.old_nodes) :]

    def moved_from(self, node: str) -> list[str]:
        """The gates that leave ``node``."""
        return sorted(gate for gate, old in self.moved.items() if old == node)


def journal_file(settings: Settings) -> Path:
    """Where the journal lies while a re-shard is under way."""
    return settings.run_dir / "reshard.json"


def read_journal(settings: Settings) -> Journal | None:
    """The re-shard that was begun and has not ended, if there is one.

    Raises:
        StateFormatError: the journal cannot be read.
    """
    path = journal_file(settings)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Journal(
            tuple(found["old_nodes"]), tuple(found["new_nodes"]), dict(found["moved"]), bool(found["stream"])
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StateFormatError(
            f"{path} is no journal of a re-shard ({type(error).__name__}). If `kakou shard plan` names no "
            "strays, remove it; else restore it from a backup."
        ) from error


def write_journal(settings: Settings, journal: Journal) -> None:
    """Writes the journal, whole."""
    write_json(journal_file(settings), asdict(journal))


def end_journal(settings: Settings) -> None:
    """Removes the journal: the re-shard has ended."""
    journal_file(settings).unlink(missing_ok=True)
