"""
Kill a hundred deliveries at random moments, and print what that cost as the table of docs/reliability.md.

    python tests/integration/kills/hundred.py [--runs 100] [--seed 0] [--at-once 2]

Exits with 1 where a promise was broken, and leaves the folder of that run for a look.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.integration.kills.counting_server import serving
from tests.integration.kills.killing import KINDS, Figures, Plan, run_with_kills

HEAD = (
    "| write mode | guarantee | server honours keys | runs | kills | records | lost | outcome not known "
    "| accepted twice | allowed twice |"
)


def row(kind: tuple[str, str, bool], all_figures: list[Figures]) -> str:
    """Return one line of the table."""
    total = [sum(getattr(each, name) for each in all_figures) for name in ("kills", "records", "lost", "unknown")]
    twice, allowed = (sum(getattr(each, name) for each in all_figures) for name in ("twice", "allowed"))
    cells = [kind[0], kind[1], "yes" if kind[2] else "no", len(all_figures), *total, twice, allowed]
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else f"`{cell}`" for cell in cells) + " |"


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each further one takes the next")
    parser.add_argument("--at-once", type=int, default=2, help="deliveries that run at the same time")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    folder = Path(tempfile.mkdtemp(prefix="osmosdest-kills-"))
    started = time.monotonic()
    with serving() as server, ThreadPoolExecutor(arguments.at_once) as pool:
        plans = [Plan.drawn(seed) for seed in seeds]
        runs = [
            pool.submit(run_with_kills, plan, server, str(seed), folder / str(seed))
            for seed, plan in zip(seeds, plans, strict=True)
        ]
        figures = [run.result() for run in runs]
    print(HEAD)
    print("|---|---|---" + "|---:" * 7 + "|")
    for kind in KINDS:
        of_kind = [each for each, plan in zip(figures, plans, strict=True) if plan.kind == kind]
        if of_kind:
            print(row(kind, of_kind))
    faults = [(seed, fault) for seed, each in zip(seeds, figures, strict=True) for fault in each.faults]
    for seed, fault in faults:
        print(f"seed {seed}: {fault}; see {folder / str(seed)}")
    kills = sum(each.kills for each in figures)
    print(f"{len(figures)} runs, {kills} kills, {len(faults)} broken promises, {time.monotonic() - started:.0f} s")
    if not faults:
        folder.rmdir()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
