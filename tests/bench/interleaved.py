"""Times two calls by turns, in random order, and says how far the times are apart. Standard library only."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from statistics import median

Call = Callable[[], object]

_WARM_UP = 100


def interleaved(one: Call, other: Call, pairs: int) -> tuple[list[int], list[int]]:
    """How long each of so many calls took, in ns."""
    calls = (one, other)
    taken: tuple[list[int], list[int]] = ([], [])
    shuffled = random.Random(0)  # noqa: S311 -- an order, and no secret
    clock = time.perf_counter_ns
    for call in calls * _WARM_UP:
        call()
    gc.collect()
    gc.disable()
    for _ in range(pairs):
        first = shuffled.getrandbits(1)
        for which in (first, 1 - first):
            before = clock()
            calls[which]()
            taken[which].append(clock() - before)
    gc.enable()
    return taken


def area(one: Sequence[int], other: Sequence[int]) -> float:
    """How often a time of `one` is longer than a time of `other`: the area under the ROC curve, by ranks (Mann and
    Whitney 1947)."""
    ranked = sorted([(time, 0) for time in one] + [(time, 1) for time in other])
    ranks = 0.0
    at = 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        # Equal times share their ranks.
        mean = (at + 1 + end) / 2
        ranks += mean * sum(1 for _, which in ranked[at:end] if which == 0)
        at = end
    return (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))


def told_apart(areas: Sequence[float]) -> float:
    """How often whoever sees one time of each says rightly which is which, at best: 0.5 is chance, 1 is always.

    Of several rounds, because where threads and pages happen to lie favours one side for the whole of a round.
    """
    middle = median(areas)
    return max(middle, 1 - middle)
