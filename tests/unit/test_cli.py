import subprocess
import sys

import pytest

from kakou import __version__

COMMANDS = (
    "up", "down", "status", "logs", "doctor", "raw", "etl", "gates", "simulate", "ship", "detect", "flow",
    "shard", "ledger", "rejected",
)  # fmt: skip


def kakou(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_version() -> None:
    assert kakou("--version").stdout.strip() == __version__


def test_help_lists_every_command() -> None:
    text = kakou("--help").stdout
    for command in COMMANDS:
        assert f" {command} " in text


@pytest.mark.parametrize(
    "command",
    ["up", "down", "status", "logs", "doctor", "raw generate", "etl run", "gates list", "gates proposals",
     "gates accept", "simulate", "ship", "detect replay",
     "detect review", "detect reviews", "detect evidence",
     "flow train", "flow backtest", "flow forecast", "ledger check",
     "rejected list", "rejected replay", "rejected discard",
     "shard locate", "shard plan", "shard move", "shard abandon"],
)  # fmt: skip
def test_each_command_shows_an_example(command: str) -> None:
    shown = kakou(*command.split(), "--help")
    assert shown.returncode == 0
    assert "Example" in shown.stdout


def test_an_error_is_one_sentence_without_a_traceback() -> None:
    ended = kakou("etl", "run", "--raw", "/does/not/exist", "--out", "/tmp/never-written")
    assert ended.returncode == 1
    assert "/does/not/exist" in ended.stderr
    assert "Traceback" not in ended.stderr
