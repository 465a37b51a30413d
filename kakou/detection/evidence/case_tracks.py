"""From a case to its tracks: which passes are the owner's, and which are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from kakou.detection.cases import Case, Episode
from kakou.detection.evidence.tracks import Seen, Tracks, Way
from kakou.detection.horizon import Look
from kakou.detection.knowledge import FEW, Knowledge
from kakou.detection.rules import BASIS_HISTORY, BASIS_NONE, Rules
from kakou.fields import MISSING

# Of an episode: a vehicle has a few dozen in its hours, a reading error that repeats has hundreds.
MOST_KEPT: Final = 100


def tracks_of(case: Case, rules: Rules, knowledge: Knowledge) -> Tracks:
    """Separates the passes of a case; of each episode those nearest to what is told of it."""
    others = {one.look.row for one in case.odd}
    kept = [thinned(episode) for episode in case.episodes]
    # Episodes lie so close together that the hours around them may overlap.
    looks = {look.row: look for episode in kept for look in episode.looks}.values()
    by_time = sorted(looks, key=lambda look: (look.t, look.row))
    return Tracks(
        _seen((look for look in by_time if look.row not in others), rules),
        _seen((look for look in by_time if look.row in others), rules),
        way_of(case.strongest, rules, knowledge),
        sum(episode.left_out for episode in kept),
    )


def one_track(looks: Sequence[Look], rules: Rules) -> Tracks:
    """The passes of a plate by right time, where one vehicle can have made all of them."""
    return Tracks(_seen(looks, rules), ())


def thinned(episode: Episode) -> Episode:
    """The episode with at most ``MOST_KEPT`` passes: those told of, then those nearest to them in time.

    Twice gives the same as once, so it does not matter whether the stream has thinned an episode before.
    """
    told = {look.row: look for look in episode.told}
    further = [look for look in episode.looks if look.row not in told]
    room = max(0, MOST_KEPT - len(told))
    if len(further) > room:
        further.sort(key=lambda look: (min(abs(look.row.t - row.t) for row in told), look.row))
    looks = sorted((*told.values(), *further[:room]), key=lambda look: (look.t, look.row))
    return replace(episode, looks=tuple(looks), left_out=episode.left_out + len(further[room:]))


def way_of(episode: Episode, rules: Rules, knowledge: Knowledge) -> Way | None:
    """What its two passes are held against; None where the rules say something else by now."""
    first, second = (rules.code.get(look.row.kkmc, -1) for look in (episode.first, episode.second))
    for at in (first, second), (second, first):
        if min(at) < 0 or rules.least[at] != episode.least or rules.basis[at] == BASIS_NONE:
            continue
        seconds = round(episode.least)
        if rules.basis[at] != BASIS_HISTORY:
            return Way(seconds, "map", kmh=rules.fallback_kmh)
        if not knowledge.tells_of_clocks:
            return Way(seconds, "history")  # learned by the older job, which keeps no count
        trips = int(knowledge.trips[at])
        return Way(seconds, "history" if trips >= FEW else "composed", trips)
    return None


def _seen(looks: Iterable[Look], rules: Rules) -> tuple[Seen, ...]:
    return tuple(
        Seen(
            look.row.gcxh, look.row.kkmc, rules.name_of(look.row.kkmc), look.row.t, round(look.t),
            look.row.clppxh or MISSING, look.row.hpzl or MISSING,
        )
        for look in looks
    )  # fmt: skip
