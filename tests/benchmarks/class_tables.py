"""The tables of docs/benchmarks.md from the lines that `tests.benchmarks.classes run` appended."""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from wsipipe.gan.criteria import CHOSEN_BY

PUBLISHED = "paper's objective"
"""What the others are compared with, from the same seed."""


def show(rows: list[dict[str, Any]]) -> None:
    """Print them all."""
    for name, k in sorted({(r["data"], r["k"]) for r in rows}):
        mine = [r for r in rows if (r["data"], r["k"]) == (name, k)]
        print(f"\n**{name}, k = {k}**\n\n| classes by | runs | AMI | ARI | purity |\n|---|---|---|---|---|")
        methods = [m for m in dict.fromkeys(key for r in mine for key in r) if isinstance(mine_score(mine, m), dict)]
        for method in methods:
            runs = [r[method] for r in mine if method in r]
            cells = " | ".join(middle([r[score] for r in runs]) for score in ("ami", "ari", "purity"))
            print(f"| {method} | {len(runs)} | {cells} |")
        for line in (*paired(mine), *spread(mine), *agreement(mine), *chosen(mine)):
            print(line)


def mine_score(rows: list[dict[str, Any]], key: str) -> Any:
    """The first scores under a key, None when it holds something else."""
    found = next(r[key] for r in rows if key in r)
    return found if isinstance(found, dict) and "ami" in found else None


def middle(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def paired(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Differences in AMI to the best baseline of the same split, and to the paper's objective from the same seed."""
    best = {
        r["split"]: max(s["ami"] for s in r.values() if isinstance(s, dict)) for r in rows if r["what"] == "baselines"
    }
    published = {(r["split"], r["seed"]): r[PUBLISHED]["ami"] for r in rows if r["what"] == PUBLISHED}
    for what in sorted({r["what"] for r in rows} - {"baselines"}):
        mine = [(r["split"], r["seed"], r[what]["ami"]) for r in rows if r["what"] == what]
        gains = [ami - best[split] for split, _, ami in mine if split in best]
        if gains:
            above = sum(gain >= 0 for gain in gains)
            yield f"{what} less the split's best baseline, AMI: {middle(gains)}; not below in {above} of {len(gains)}"
        gains = [ami - published[split, seed] for split, seed, ami in mine if (split, seed) in published]
        if gains and what != PUBLISHED:
            yield f"{what} less the paper's objective, AMI: {middle(gains)}"


def spread(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Largest less smallest AMI over the seeds of a split, and the time of a training."""
    for what in sorted({r["what"] for r in rows if "wall_s" in r}):
        mine = [r for r in rows if r["what"] == what]
        of_split = [[r[what]["ami"] for r in mine if r["split"] == split] for split in {r["split"] for r in mine}]
        found = [max(amis) - min(amis) for amis in of_split if len(amis) > 1]
        if found:
            yield f"{what}, AMI over the seeds of one split, largest less smallest: {middle(found)}"
        yield f"{what}, seconds: wall {middle([r['wall_s'] for r in mine])}, CPU {middle([r['cpu_s'] for r in mine])}"


def agreement(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rank correlation of every criterion without labels with AMI, over all runs, and within splits."""
    learnt = [r for r in rows if "criteria" in r]
    split = np.array([r["split"] for r in learnt])
    ami = np.array([r[r["what"]]["ami"] for r in learnt])
    for name in learnt[0]["criteria"] if len(learnt) > 3 else ():
        value = np.array([r["criteria"][name] for r in learnt])
        whole = spearmanr(value, ami).statistic
        within = spearmanr(_centred(value, split), _centred(ami, split)).statistic
        yield f"{name}: rank correlation with AMI {whole:.2f}, {within:.2f} after taking off each split's mean"


def chosen(rows: list[dict[str, Any]]) -> Iterator[str]:
    """AMI of the seed of each split that the criterion chooses, beside the mean of its seeds."""
    mine = [r for r in rows if r["what"] == "default"]
    picks, means = [], []
    for split in sorted({r["split"] for r in mine}):
        runs = [r for r in mine if r["split"] == split]
        picks.append(max(runs, key=lambda r: r["criteria"][CHOSEN_BY])["default"]["ami"])
        means.append(statistics.mean(r["default"]["ami"] for r in runs))
    if picks:
        yield f"default, the seed chosen by {CHOSEN_BY}: AMI {middle(picks)}; mean of the seeds {middle(means)}"


def _centred(values: NDArray[np.float64], split: NDArray[np.int64]) -> NDArray[np.float64]:
    return values - np.array([values[split == s].mean() for s in split])
