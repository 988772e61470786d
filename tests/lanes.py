"""
What tests run beside what, where several processes share them out.

Most integration tests wait, and so wait side by side. A *lane* is what one process does together.
"""

from __future__ import annotations

import re

__all__ = ["lane_of", "rank_of"]

# What has to be done by one process, by the beginnings of its files: the tests of each of these share something that
# takes long to start. Those that take longest come first.
LANES = {
    "a distributed Airflow": ("tests/system/test_stack",),
    # Two whole Airflows, as the tests of one take their turns.
    "tasks that are killed": ("tests/integration/kills/test_airflow.py",),
    "Airflow": ("tests/system/", "tests/integration/kills/test_secrets.py", "tests/integration/sources/"),
    # A process pays for Airflow's database and imports once.
    "DAGs": (
        "tests/integration/decorators/",
        "tests/integration/docs/test_recipes.py",
        "tests/integration/example_dags/",
        "tests/integration/operators/",
        "tests/integration/sensors/",
        "tests/integration/test_delivery_commands.py",
        "tests/integration/test_mailbox_dags.py",
        "tests/integration/test_waiting.py",
    ),
    "object stores": (
        "tests/integration/test_airflow_storage.py",
        "tests/integration/test_mailbox_retention.py",
        "tests/integration/test_mailbox_stores.py",
        "tests/integration/test_seen.py",
    ),
}
# What is shared out by its first parameter and by its class: a file of these takes minutes.
BY_PARAMETER = ("tests/integration/faults/test_inbox_killed.py", "tests/unit/core/delivery/test_truth.py")
BY_CLASS = ("tests/integration/faults/test_lost_answers.py",)
# Each takes longer than all that comes behind it in its process: begun last, it would be waited for by itself.
LONGEST_FIRST = (
    *LANES["a distributed Airflow"],
    *LANES["tasks that are killed"],
    *LANES["Airflow"],
    "tests/integration/docs/test_tutorial.py",
    "tests/integration/faults/test_inbox_killed.py",
    *LANES["DAGs"],
    *BY_CLASS,
    *LANES["object stores"],
    "tests/unit/core/delivery/test_truth.py",
    "tests/integration/",
)


def lane_of(nodeid: str) -> str:
    """Return the name of what one process does together, of which a test is part."""
    for lane, files in LANES.items():
        if nodeid.startswith(files):
            return lane
    file, _, name = nodeid.partition("::")
    if file in BY_PARAMETER:
        parameter = re.split("[]-]", name.partition("[")[2])[0]
        return f"{file} {parameter}"
    return f"{file} {name.partition('::')[0]}" if file in BY_CLASS else file


def rank_of(nodeid: str) -> int:
    """Return the place of a test among all, the lowest first."""
    places = (at for at, files in enumerate(LONGEST_FIRST) if nodeid.startswith(files))
    return next(places, len(LONGEST_FIRST))
