"""``kakou detect evidence``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kakou.settings import load_settings


def evidence(
    name: Annotated[str, typer.Argument(metavar="CASE_OR_ALERT", help="Id of a case or of one alert.")],
    out: Annotated[Path, typer.Option(help="The page, HTML.")],
) -> None:
    """Write the page of evidence of a case that the stream has given a verdict on.

    It shows what the verdict was given on, also when the passes themselves are deleted: both tracks, the
    times, the travel time and its basis, and how the case went. Of a case the newest verdict is shown.

    Example: kakou detect evidence 6f1a4e3c8eb25899c1eccad0f73607b6 --out page.html
    """
    from kakou.detection.evidence.stored_cases import evidence_of
    from kakou.errors import BadInputError
    from kakou.whole_files import write_text

    alert, page = evidence_of(load_settings(), name)
    try:
        write_text(out, page)
    except OSError as error:
        raise BadInputError(f"{out} cannot be written ({error.strerror}). Name another file.") from error
    typer.echo(f"{out}: {alert.hphm}, step {alert.step} of its case")
