"""The road graph of a world: towns, roads, gates beside them, and what each route passes."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
_KM_PER_DEGREE = 111.2
_MIDDLE = (117.3, 34.3)


@dataclass(frozen=True)
class Gate:
    """A gate: true place in km from the middle, and what the registry says of it (degrees, or None)."""

    kkmc: str
    name: str
    district: str
    x: float
    y: float
    lon: float | None
    lat: float | None


@dataclass(frozen=True)
class Roads:
    """Gates, and for each ordered pair of towns the gates on the fastest way.

    Attributes:
        towns: how many.
        gates: by index.
        starts: of route ``from * towns + to``, index of its first entry in ``gate_of`` and ``hours_of``; one
            more at the end.
        gate_of: gates in the order in which a route passes them.
        hours_of: free-flow hours from the start of the route to each of them.
        route_hours: whole free-flow hours of each route.
        gate_hours: free-flow hours between any two gates, by road.
    """

    towns: int
    gates: tuple[Gate, ...]
    starts: IntArray
    gate_of: IntArray
    hours_of: FloatArray
    route_hours: FloatArray
    gate_hours: FloatArray


@dataclass(frozen=True)
class _Network:
    """Points in km, the towns first; links between two of them with free-flow hours; points with a gate."""

    points: list[tuple[float, float]]
    links: list[tuple[int, int, float]]
    gate_nodes: list[int]


def make_roads(rng: np.random.Generator) -> Roads:
    """Towns at random, the shortest roads that join them and some more; gates in groups and alone."""
    towns = int(rng.integers(10, 19))
    width, height = rng.uniform(90, 160), rng.uniform(70, 120)
    network = _network(rng, np.column_stack([rng.uniform(0, width, towns), rng.uniform(0, height, towns)]))
    nodes = network.gate_nodes
    hours, before_of = _shortest(len(network.points), network.links)
    starts, gate_of, hours_of = _routes(towns, nodes, hours, before_of)
    return Roads(
        towns=towns,
        gates=tuple(_gate(rng, index, network.points[node]) for index, node in enumerate(nodes)),
        starts=starts,
        gate_of=gate_of,
        hours_of=hours_of,
        route_hours=hours[:towns, :towns].reshape(-1).copy(),
        gate_hours=hours[np.ix_(nodes, nodes)].copy(),
    )


def _network(rng: np.random.Generator, place: FloatArray) -> _Network:
    """Roads between the towns at ``place``, each cut into links by the gates that stand on it."""
    network = _Network([(float(x), float(y)) for x, y in place], [], [])
    for a, b in _edges(rng, place):
        crow = float(np.hypot(*(place[a] - place[b])))
        km, speed = crow * rng.uniform(1.05, 1.35), rng.choice([80.0, 100.0, 110.0])
        before, last = a, 0.0
        for share in _gate_shares(rng, km):
            node = len(network.points)
            network.points.append(tuple(place[a] + (place[b] - place[a]) * share))
            network.gate_nodes.append(node)
            network.links.append((before, node, (share - last) * km / speed))
            before, last = node, share
        network.links.append((before, b, (1 - last) * km / speed))
    return network


def _routes(
    towns: int, gate_nodes: list[int], hours: FloatArray, before_of: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """``starts``, ``gate_of`` and ``hours_of`` of ``Roads``."""
    gate_index = {node: index for index, node in enumerate(gate_nodes)}
    starts, gate_of, hours_of = [0], [], []
    for a in range(towns):
        for b in range(towns):
            for node in _way(before_of, a, b):
                if node in gate_index:
                    gate_of.append(gate_index[node])
                    hours_of.append(hours[a, node])
            starts.append(len(gate_of))
    return np.array(starts, np.int64), np.array(gate_of, np.int64), np.array(hours_of)


def _edges(rng: np.random.Generator, place: FloatArray) -> list[tuple[int, int]]:
    """A shortest tree over all towns, and about half as many more of the shortest roads."""
    count = len(place)
    apart = np.hypot(place[:, None, 0] - place[None, :, 0], place[:, None, 1] - place[None, :, 1])
    joined, edges = {0}, set()
    while len(joined) < count:
        a, b = min(
            ((a, b) for a in joined for b in range(count) if b not in joined), key=lambda one: apart[one]
        )
        joined.add(b)
        edges.add((min(a, b), max(a, b)))
    rest = sorted(
        (apart[a, b], a, b) for a in range(count) for b in range(a + 1, count) if (a, b) not in edges
    )
    for _, a, b in rest[:count]:
        if rng.random() < 0.5:
            edges.add((a, b))
    return sorted(edges)


def _gate_shares(rng: np.random.Generator, km: float) -> list[float]:
    """Where gates stand along a road: a group 2 to 4 km apart, or one or two, or none."""
    kind = rng.random()
    if km > 15 and kind < 0.35:
        at, shares = rng.uniform(2, km / 2), []
        for _ in range(int(rng.integers(2, 5))):
            if at < km - 1:
                shares.append(at / km)
            at += rng.uniform(2, 4)
        return shares
    count = 2 if km > 40 and kind < 0.7 else int(kind < 0.9)
    return sorted(rng.uniform(0.08, 0.92, count).tolist())


def _gate(rng: np.random.Generator, index: int, point: tuple[float, float]) -> Gate:
    x, y = point
    error = rng.uniform(5, 25) if rng.random() < 0.04 else 0.3  # now and then the registry is wrong
    lon = _MIDDLE[0] + (x + rng.normal(0, error)) / (_KM_PER_DEGREE * np.cos(np.radians(_MIDDLE[1])))
    lat = _MIDDLE[1] + (y + rng.normal(0, error)) / _KM_PER_DEGREE
    known = rng.random() > 0.03
    return Gate(
        kkmc=f"W{index + 1:03d}", name=f"世界{index + 1}号卡口", district=f"3203{index % 10 + 1:02d}",
        x=x, y=y, lon=round(float(lon), 5) if known else None, lat=round(float(lat), 5) if known else None,
    )  # fmt: skip


def _shortest(nodes: int, links: list[tuple[int, int, float]]) -> tuple[FloatArray, IntArray]:
    """Hours between all nodes, and the node before each on the way from each."""
    near: list[list[tuple[int, float]]] = [[] for _ in range(nodes)]
    for a, b, hours in links:
        near[a].append((b, hours))
        near[b].append((a, hours))
    every, before = np.full((nodes, nodes), np.inf), np.full((nodes, nodes), -1, np.int64)
    for start in range(nodes):
        best = every[start]
        best[start] = 0.0
        heap = [(0.0, start)]
        while heap:
            far, at = heappop(heap)
            if far > best[at]:
                continue
            for to, hours in near[at]:
                if far + hours < best[to]:
                    best[to] = far + hours
                    before[start, to] = at
                    heappush(heap, (far + hours, to))
    return every, before


def _way(before_of: IntArray, start: int, end: int) -> list[int]:
    way = [end]
    while way[-1] != start and before_of[start, way[-1]] >= 0:
        way.append(int(before_of[start, way[-1]]))
    return way[::-1]
