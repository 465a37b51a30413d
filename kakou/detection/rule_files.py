"""Rules as files: what a person may set, so that another rule can be rehearsed before it is in force."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kakou.detection.rules import Limits, RuleSettings
from kakou.detection.weighing import USUAL
from kakou.errors import BadInputError
from kakou.settings import Settings

_MINUTE_S: Final = 60


class _RuleFile(BaseModel):
    """The file's keys; what it does not name is as the settings have it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    prior: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    trust: Annotated[float, Field(gt=0, le=1)] | None = None
    call_at: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    window_minutes: Annotated[int, Field(ge=1, le=240)] | None = None
    lateness_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    future_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    fallback_kmh: Annotated[float, Field(gt=0)] | None = None


def rule_in_force(settings: Settings) -> RuleSettings:
    """The rule of ``settings.rule_file`` if there is one, else that of the settings.

    Raises:
        BadInputError: the file is no rule.
    """
    if settings.rule_file.exists():
        return read_rule(settings.rule_file, settings)
    return usual_rule(settings)


def usual_rule(settings: Settings) -> RuleSettings:
    """The rule without a file."""
    limits = Limits(
        window=settings.detection_window_minutes * _MINUTE_S,
        lateness=settings.lateness_minutes * _MINUTE_S,
        future=settings.future_minutes * _MINUTE_S,
    )
    return RuleSettings(limits, settings.fallback_kmh, USUAL)


def values_of(rule: RuleSettings) -> dict[str, str | float]:
    """The keys of a rule file with what the rule has for them."""
    limits, weighing = rule.limits, rule.weighing
    return {
        "version": weighing.version,
        "prior": weighing.prior,
        "trust": weighing.trust,
        "call_at": weighing.call_at,
        "window_minutes": limits.window // _MINUTE_S,
        "lateness_minutes": limits.lateness // _MINUTE_S,
        "future_minutes": limits.future // _MINUTE_S,
        "fallback_kmh": rule.fallback_kmh,
    }


def keys_named(path: Path) -> frozenset[str]:
    """The keys that a rule file sets.

    Raises:
        BadInputError: as ``read_rule``.
    """
    return frozenset(_parsed(path).model_dump(exclude_none=True))


def read_rule(path: Path, settings: Settings) -> RuleSettings:
    """Reads a rule from a TOML file: ``version``, which names it, and what it sets otherwise.

    Keys: ``prior``, ``trust``, ``call_at`` as in ``Weighing`` (with ``prior`` or ``trust`` named, reviews do
    not move them), ``window_minutes``, ``lateness_minutes``, ``future_minutes``, ``fallback_kmh`` as in the
    settings.

    Raises:
        BadInputError: it is missing, no TOML, or a key is unknown or out of range.
    """
    usual, named = usual_rule(settings), _parsed(path)
    limits = {
        name: minutes * _MINUTE_S
        for name in ("window", "lateness", "future")
        if (minutes := getattr(named, f"{name}_minutes")) is not None
    }
    weights = named.model_dump(include={"version", "prior", "trust", "call_at"}, exclude_none=True)
    fixed = named.prior is not None or named.trust is not None
    return RuleSettings(
        replace(usual.limits, **limits),
        named.fallback_kmh or usual.fallback_kmh,
        replace(usual.weighing, **weights, fixed=fixed),
    )


def _parsed(path: Path) -> _RuleFile:
    try:
        return _RuleFile(**tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}). Name a file that can.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} is no TOML ({error}). Write lines such as call_at = 0.8.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInputError(
            f"{path}: {key}: {first['msg']}. A rule has the keys {', '.join(_RuleFile.model_fields)}."
        ) from error
