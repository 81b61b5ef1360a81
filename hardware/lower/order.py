"""The order in which layers run: each after its sources; where there is a loop, one edge waits.

In: layers, and the edges between them with their delay in steps. An edge with a delay constrains
nothing, it reads the past. Layers are taken one by one, always one whose undelayed sources are all
there; of several the one nearest to the inputs, then the one whose name sorts first (numbers as
numbers). Where every layer left waits for another, a loop has no delay of its own: then the one
nearest to the inputs is taken, and the edges into it from layers that come later see the spikes of
the step before. That is how Norse, snnTorch and Lava run a recurrent layer.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from neurozsl.core.errors import BadInput

Edge = tuple[str, str]  # from, to


def order(
    layers: Sequence[str], inputs: Iterable[str], edges: Mapping[Edge, int]
) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """Layers in the order they run, and the edges that wait one step.

    edges: smallest delay in steps of every edge; edges from inputs included.

    >>> order(["b", "a"], ["x"], {("x", "a"): 0, ("a", "b"): 0, ("b", "a"): 0})
    (('a', 'b'), (('b', 'a'),))
    """
    distance = _distances(inputs, edges)
    done = set(inputs)
    left = sorted(layers, key=lambda name: (distance.get(name, len(layers) + 1), natural(name)))
    found: list[str] = []
    while left:
        ready = [
            name
            for name in left
            if all(a in done for (a, b), delay in edges.items() if b == name and not delay)
        ]
        chosen = (ready or left)[0]
        left.remove(chosen)
        found.append(chosen)
        done.add(chosen)
    return tuple(found), _going_back(found, edges)


def stored_order(
    listed: Iterable[str], populations: Sequence[str], delays: Mapping[Edge, int]
) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """The order of our metadata, after a check that only loops go back in it."""
    names = tuple(str(name) for name in listed)
    if sorted(names) != sorted(populations):
        raise BadInput(
            f"NIR graph: metadata lists layers {list(names)}, the graph holds "
            f"{populations}; export it again"
        )
    back = _going_back(names, delays)
    for a, b in back:
        if a not in _reached(b, delays):
            raise BadInput(f"NIR graph: metadata lists '{b}' before its source '{a}'")
    return names, back


def _going_back(names: Sequence[str], delays: Mapping[Edge, int]) -> tuple[Edge, ...]:
    """The undelayed edges from a layer to itself or to one before it."""
    place = {name: i for i, name in enumerate(names)}
    undelayed = [edge for edge, delay in delays.items() if not delay]
    return tuple((a, b) for a, b in undelayed if a in place and place[a] >= place[b])


def _reached(start: str, edges: Iterable[Edge]) -> set[str]:
    """Everything that spikes of `start` lead to, itself included."""
    found, before = {start}, 0
    while len(found) > before:
        before = len(found)
        found |= {b for a, b in edges if a in found}
    return found


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]


def _distances(inputs: Iterable[str], edges: Mapping[Edge, int]) -> dict[str, int]:
    """Fewest edges from an input."""
    found = dict.fromkeys(inputs, 0)
    queue = list(found)
    for a in queue:  # it grows while it is read
        reached = [b for source, b in edges if source == a and b not in found]
        found |= dict.fromkeys(reached, found[a] + 1)
        queue += reached
    return found
