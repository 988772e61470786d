"""
Change the code that decides, one small change at a time, and see that its unit tests notice: ``make mutants``.

mutmut makes the changes and runs the tests; what it changes, and with which tests, stands in ``pyproject.toml`` under
``[tool.mutants]``. A change that no test notices has to be listed in ``mutants.txt`` with the reason why it cannot
matter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = ["PACKAGE", "ROOT", "Mutant", "listed_mutants", "modules"]

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_osmosdest"
LIST = Path(__file__).with_suffix(".txt")

AT_LEAST = 0.9
"""The share of a module's changes that its tests have to notice."""

_SECONDS = 1800
"""How long a module may take, in seconds."""

# A process for each module, as mutmut reads its configuration once, from where it is started.
_CONFIGURATION = """
[tool.mutmut]
source_paths = ["{package}"]
only_mutate = ["{package}/{module}"]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
# Seconds in which a change has to be noticed, as a multiple of what the tests take without it; many loop for ever.
timeout_multiplier = 2.0
timeout_constant = 2.0
"""


class Mutant(NamedTuple):
    """A change, told by what it changes rather than by a number, which any edit would move."""

    function: str
    """The module's name, and the function in it, such as ``ranges.RangeSet.add``."""
    before: tuple[str, ...]
    """The lines as they are, without indentation."""
    after: tuple[str, ...]
    """The lines as the change makes them."""

    def __str__(self) -> str:
        """Return it as it is listed."""
        lines = [*(f"- {line}" for line in self.before), *(f"+ {line}" for line in self.after)]
        return "\n".join([self.function, *lines])


@dataclass(frozen=True)
class Result:
    """
    What came of the changes of one module.

    :param seconds: how long it took
    :param caught: how many changes a test noticed
    :param timeouts: how many of them because the tests did not end
    :param survivors: the changes that no test noticed
    """

    seconds: float
    caught: int
    timeouts: int
    survivors: list[Mutant]

    @property
    def share(self) -> float:
        """The share of changes that was caught."""
        return self.caught / (self.caught + len(self.survivors))


def modules() -> dict[str, list[str]]:
    """Return what is changed: for each module its unit tests, as paths from the root of the checkout."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
    return {module: [f"tests/unit/{test}" for test in tests] for module, tests in table.items()}


def listed_mutants() -> dict[Mutant, str]:
    """
    Return the changes that cannot matter, each with its reason.

    :raises ValueError: for an entry that has no reason, or that is none
    """
    found: dict[Mutant, str] = {}
    for block in LIST.read_text().split("\n\n"):
        lines = [line for line in block.strip().splitlines() if not line.startswith("#")]
        if not lines:
            continue
        before = tuple(line[1:].strip() for line in lines if line.startswith("-"))
        after = tuple(line[1:].strip() for line in lines if line.startswith("+"))
        reason = " ".join(line.strip() for line in lines[1:] if line[0] not in "+-")
        if not reason or not (before or after):
            raise ValueError(
                f"{LIST.name}: expected a function, its lines before (-) and after (+), and the reason why it cannot "
                f"matter, found:\n{block}"
            )
        found[Mutant(lines[0].strip(), before, after)] = reason
    return found


def mutate(module: str, tests: list[str], children: int) -> Result:
    """
    Change a module in a copy of the checkout, and run its tests on each change.

    :param module: path of the module in the package
    :param tests: its unit tests
    :param children: how many processes run tests at the same time
    :raises SystemExit: when the tests do not pass without a change, or never end
    """
    work = ROOT / ".mutants" / module.removesuffix(".py").replace("/", "-")
    shutil.rmtree(work, ignore_errors=True)
    for folder in (PACKAGE, "tests"):
        shutil.copytree(ROOT / folder, work / folder, ignore=shutil.ignore_patterns("__pycache__"))
    configuration = _CONFIGURATION.format(package=PACKAGE, module=module, tests=json.dumps(tests))
    (work / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + configuration)

    began = time.monotonic()
    log = work / "mutmut.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
        # Where Python looks for the package first must be the changed copy, not the checkout.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"error: {module}: its tests took more than {_SECONDS} s; see {log}") from None
        finally:
            # Also when this program is interrupted: a process that tries a change may run for ever.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if code:
        raise SystemExit(f"error: {module}: mutmut ended with {code}; its output is in {log}\n{_end_of(log)}")
    return _result(work, module, time.monotonic() - began)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").replace("\r", "\n").splitlines()[-30:])


def _result(work: Path, module: str, seconds: float) -> Result:
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code

    with chdir(work):
        data = SourceFileMutationData(path=f"{PACKAGE}/{module}")
        data.load()
        statuses = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
        odd = {status for status in statuses.values() if status not in {"killed", "timeout", "survived", "no tests"}}
        # What crashes the interpreter is noticed; anything else was not tried to its end.
        if odd - {"segfault", "suspicious"}:
            raise SystemExit(f"error: {module}: expected every change to be tried, found some {', '.join(sorted(odd))}")
        survivors = [_told(name, module) for name, status in statuses.items() if status in {"survived", "no tests"}]
    timeouts = sum(status == "timeout" for status in statuses.values())
    return Result(seconds, len(statuses) - len(survivors), timeouts, survivors)


def _told(name: str, module: str) -> Mutant:
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    function, owner = orig_function_and_class_names_from_key(name)
    lines = get_diff_for_mutant(name, path=f"{PACKAGE}/{module}").splitlines()[2:]
    before = tuple(line[1:].strip() for line in lines if line.startswith("-"))
    after = tuple(line[1:].strip() for line in lines if line.startswith("+"))
    return Mutant(".".join(part for part in (Path(module).stem, owner, function) if part), before, after)


def main() -> int:
    """Change the modules named, or all; return 1 where too little is noticed, or a survivor is not accounted for."""
    parser = argparse.ArgumentParser(description="See that the unit tests notice changes of the code that decides.")
    parser.add_argument("names", nargs="*", help="parts of the modules' paths; all modules without any")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes at the same time")
    arguments = parser.parse_args()
    chosen = {
        module: tests
        for module, tests in modules().items()
        if not arguments.names or any(name in module for name in arguments.names)
    }
    if not chosen:
        parser.error(f"no module has one of {arguments.names} in its path; there are {', '.join(modules())}")

    listed = listed_mutants()
    good = True
    print(f"{'module':<32} {'changes':>7} {'caught':>7} {'share':>6} {'listed':>6} {'seconds':>7}", flush=True)
    for module, tests in chosen.items():
        result = mutate(module, tests, arguments.children)
        unlisted = [survivor for survivor in result.survivors if survivor not in listed]
        good = good and not unlisted and result.share >= AT_LEAST
        print(
            f"{module:<32} {result.caught + len(result.survivors):>7} {result.caught:>7} {result.share:>6.1%}"
            f" {len(result.survivors) - len(unlisted):>6} {result.seconds:>7.0f}"
            + (f"  {result.timeouts} of them by a time-out" if result.timeouts else ""),
            flush=True,
        )
        if result.share < AT_LEAST:
            print(f"    too few: at least {AT_LEAST:.0%} have to be caught")
        for survivor in unlisted:
            print("    survived:", *str(survivor).splitlines(), sep="\n        ", flush=True)
        prefix = Path(module).stem + "."
        for mutant in set(listed).difference(result.survivors):
            if mutant.function.startswith(prefix):
                print("    listed, but caught now:", *str(mutant).splitlines(), sep="\n        ", flush=True)
    if not good:
        print(f"Test each survivor, or list it in tests/{LIST.name} with the reason why it cannot matter.")
    return not good


if __name__ == "__main__":
    sys.exit(main())
