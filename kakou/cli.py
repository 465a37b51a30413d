"""The ``kakou`` command. Groups come from the entry points ``kakou.commands`` (see setup.cfg)."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import typer
from rich.console import Console

from kakou import __version__
from kakou.errors import KakouError


def build_app() -> typer.Typer:
    """Collects every command. A group is a ``typer.Typer``; a single command is a plain function."""
    app = typer.Typer(
        name="kakou",
        help="卡口 · highway checkpoint platform. `kakou COMMAND --help` shows examples.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback(invoke_without_command=True)
    def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
        if version:
            typer.echo(__version__)
            raise typer.Exit

    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    points = {point.name: point for point in entry_points(group="kakou.commands")}
    # Loading a group imports its libraries, so only the one that is asked for is loaded.
    for name in [wanted] if wanted in points else sorted(points):
        command = points[name].load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name=name)(command)
    return app


def main() -> None:
    """Entry point: a ``KakouError`` becomes one sentence on stderr and exit code 1."""
    try:
        build_app()(standalone_mode=True)
    except KakouError as error:
        Console(stderr=True, highlight=False).print(f"[red]kakou:[/red] {error}", soft_wrap=True, markup=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
