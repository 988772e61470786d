from __future__ import annotations

import pytest


class Crash(BaseException):
    """The process is gone: no handler runs."""


class FailingFolder:
    """A folder of the local disk on which the process dies before the n-th change."""

    def __init__(self, path, changes=None):
        self.path = path
        self.left = changes

    def change(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash

    def __truediv__(self, name):
        return FailingPath(self, self.path / name)

    def mkdir(self, *, parents, exist_ok):
        self.path.mkdir(parents=parents, exist_ok=exist_ok)

    def glob(self, pattern):
        return [FailingPath(self, path) for path in self.path.glob(pattern)]


class FailingPath:
    # Like an object store's: what is written appears when it is closed.
    protocol = "memory"

    def __init__(self, folder, path):
        self.folder = folder
        self.real = path
        self.name = path.name

    def __str__(self):
        return str(self.real)

    def open(self, mode):
        if mode == "wb":
            self.folder.change()
        return self.real.open(mode)

    def unlink(self):
        self.folder.change()
        self.real.unlink()


@pytest.fixture
def crashing(tmp_path):
    """Return a folder that works until a number of changes are done, and the exception it dies of."""
    return lambda changes=None: FailingFolder(tmp_path / "seen", changes), Crash
