"""What becomes of a node when the flood leaves it: nucleus, opened further, split into smaller ones, or lost."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsipipe.image.compiled import compiled_part
from wsipipe.image.tree_nodes import (
    AREA,
    BEST,
    BOTTOM,
    LEFT,
    LEVEL,
    LONG,
    LOST_BEFORE,
    MAX_EXTENT,
    MIN_AREA,
    RIGHT,
    SPLIT,
    TOP,
    merge,
    score,
    seed_of,
)

KEEP, OPEN = 0, 1
"""Kinds of events: the node is a nucleus, or is made of what lies in it when it is opened further."""

AT, AT_LEVEL, KIND, GAIN, BEFORE, EVENT = range(6)
"""Columns of the table of events: seed pixel, level, kind, by how much the best that can be made of the node grew, and
the event before this one at the same seed (or -1)."""

N_EVENTS, N_LOST = 0, 1
"""Entries of the counts of what was written."""


class Judged(NamedTuple):
    """What the flood of one image keeps of its nodes, and what it judges them by; the arrays are written to.

    Attributes
    ----------
    nodes : int64, (257, COLUMNS)
        The open nodes.
    gains : int64, (256,)
        What the next image gains at each level of the last open node.
    events : int32, (n, EVENT)
    lost : int32, (l,)
        Seed pixels of nodes without a nucleus.
    counts : int64, (2,)
        How many events and lost nodes there are.
    rules : float64, (RULES,)
    by_area : float64, (areas, 2)
        By `tabulate_areas`.
    lost_from : int
        Least level at which a node counts as lost.
    """

    nodes: NDArray[np.int64]
    gains: NDArray[np.int64]
    events: NDArray[np.int32]
    lost: NDArray[np.int32]
    counts: NDArray[np.int64]
    rules: NDArray[np.float64]
    by_area: NDArray[np.float64]
    lost_from: int


@compiled_part
def _note(to: Judged, seed: int, level: int, kind: int, gain: int) -> None:
    """Write an event."""
    n, events = to.counts[N_EVENTS], to.events
    events[n, AT], events[n, AT_LEVEL], events[n, KIND], events[n, GAIN] = seed, level, kind, gain
    to.counts[N_EVENTS] = n + 1


@compiled_part
def _judge(to: Judged, node: int, lowest: int) -> None:
    """Find the best that can be made of a node at each level from its own down to `lowest`, where it stays as it is.

    Writes an event where that is not to raise the threshold.
    """
    nodes, gains = to.nodes, to.gains
    seed, first = seed_of(nodes, node), nodes[node, LEVEL]
    best, split = nodes[node, BEST], nodes[node, SPLIT] + gains[first]
    own = score(nodes, node, max(best, split), to.rules, to.by_area)
    for level in range(first, lowest - 1, -1):
        if level < first:
            if gains[level] == 0:
                continue
            split += gains[level]
        if own > 0 and own >= max(best, split):
            _note(to, seed, level, KEEP, own - best)
            best = own
        elif split > best:
            _note(to, seed, level, OPEN, split - best)
            best = split
    nodes[node, BEST], nodes[node, SPLIT] = best, split


@compiled_part
def _close(to: Judged, node: int, lowest: int) -> None:
    """Judge a node that the flood leaves for one around it at level `lowest` - 1.

    What holds no nucleus counts as lost until the node around it turns out short enough.
    """
    nodes, rules = to.nodes, to.rules
    if nodes[node, LONG] == 0 and nodes[node, AREA] < rules[MIN_AREA]:
        return  # too small for a nucleus, as is all that lies in it
    extent = max(nodes[node, RIGHT] - nodes[node, LEFT], nodes[node, BOTTOM] - nodes[node, TOP])
    if nodes[node, LONG] == 1 or extent > rules[MAX_EXTENT]:
        nodes[node, LONG] = 1
    else:
        _judge(to, node, lowest)
        to.counts[N_LOST] = nodes[node, LOST_BEFORE]
        if nodes[node, BEST] == 0 and nodes[node, AREA] >= rules[MIN_AREA] and lowest > to.lost_from:
            to.lost[to.counts[N_LOST]] = seed_of(nodes, node)
            to.counts[N_LOST] += 1
    for level in range(lowest, nodes[node, LEVEL] + 1):
        to.gains[level] = 0


@compiled_part
def fall(to: Judged, node: int, level: int) -> int:
    """Close the open nodes above a level; returns the last open node, which is of that level."""
    nodes = to.nodes
    while nodes[node, LEVEL] > level:
        around = nodes[node - 1, LEVEL] if node > 0 else -1
        _close(to, node, max(level, around) + 1)
        if around >= level:
            merge(nodes, node - 1, node)
            node -= 1
        else:
            nodes[node, LEVEL] = level
    return node
