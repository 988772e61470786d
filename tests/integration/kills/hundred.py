"""
Kill a hundred deliveries at random moments, and show what that cost: the tables of docs/reliability.md.

    python tests/integration/kills/hundred.py [--runs 100] [--seed 0] [--at-once 2] [--airflow] [--write]

With ``--airflow``, each delivery is a task of a real Airflow, whose process is killed and which Airflow retries.

Exits with 1 where a promise was broken, and leaves the folder of that run for a look.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.figures import RELIABILITY_PAGE, show
from tests.integration.kills.airflow_kills import airflow_plan, counting_airflow, killed_task
from tests.integration.kills.counting_server import serving
from tests.integration.kills.killing import KINDS, Figures, Plan, run_with_kills

if TYPE_CHECKING:
    from collections.abc import Callable

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
    parser.add_argument("--airflow", action="store_true", help="kill tasks of a real Airflow")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    folder = Path(tempfile.mkdtemp(prefix="osmosdest-kills-"))
    started = time.monotonic()
    with ExitStack() as stack:
        server = stack.enter_context(serving())
        plans = [(airflow_plan if arguments.airflow else Plan.drawn)(seed) for seed in seeds]
        run: Callable[..., Figures] = run_with_kills
        if arguments.airflow:
            (folder / "airflow").mkdir()
            api = stack.enter_context(counting_airflow(folder / "airflow", server))
            run = partial(killed_task, api=api)
        pool = stack.enter_context(ThreadPoolExecutor(arguments.at_once))
        runs = [
            pool.submit(run, plan, server=server, name=f"run-{seed}", folder=folder / str(seed))
            for seed, plan in zip(seeds, plans, strict=True)
        ]
        figures = [run.result() for run in runs]
    lines = [HEAD, "|---|---|---" + "|---:" * 7 + "|"]
    for kind in KINDS:
        of_kind = [each for each, plan in zip(figures, plans, strict=True) if plan.kind == kind]
        if of_kind:
            lines.append(row(kind, of_kind))
    faults = [(seed, fault) for seed, each in zip(seeds, figures, strict=True) for fault in each.faults]
    for seed, fault in faults:
        print(f"seed {seed}: {fault}; see {folder / str(seed)}")
    kills = sum(each.kills for each in figures)
    show(
        "kills-airflow" if arguments.airflow else "kills",
        "\n".join(lines),
        about=f"{len(figures)} runs, {kills} kills, {len(faults)} broken promises, {time.monotonic() - started:.0f} s.",
        packages=("apache-airflow",) if arguments.airflow else (),
        write_to=RELIABILITY_PAGE if arguments.write and not faults else None,
    )
    if not faults:
        shutil.rmtree(folder)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
