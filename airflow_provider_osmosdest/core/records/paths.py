"""Find the files that a path, with or without ``*``, stands for."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.input import display, reason

__all__ = ["identity", "matching_files", "size_of"]


def matching_files(path: Any) -> list[Any]:
    """
    Return the files that ``path`` stands for, sorted by name.

    That is itself; or the files it matches if it holds a ``*``; or, if it is a folder, the files in it. Names that
    begin with ``.`` or ``_`` are the marks that writers leave beside their data (``_SUCCESS``), and no data.

    :raises SourceError: there is no such file, or the folder holds more folders
    """
    try:
        return _look_up(path)
    except SourceError:
        raise
    except Exception as e:  # a store's library may raise anything
        raise SourceError(f"{display(path)}: cannot be looked up: {reason(e)}") from e


def size_of(path: Any) -> int | None:
    """
    Return a file's size as stored, in bytes; ``None`` if its store does not give it.

    :raises SourceError: its store does not answer
    """
    size = _stat(path).st_size
    return None if size is None else int(size)


def identity(path: Any) -> str:
    """
    Return a digest that identifies a file's content without reading it.

    That is its store's own key (of checksum, version, size and time, as the store has them), else its size and time.

    :raises SourceError: its store does not answer
    """
    fs = getattr(path, "fs", None)
    if fs is not None:
        try:
            key = fs.ukey(path.path)
        except Exception as e:  # as above
            raise SourceError(f"{display(path)}: cannot be looked up: {reason(e)}") from e
    else:
        status = _stat(path)
        key = f"{status.st_size}:{status.st_mtime_ns}"
    return sha256(f"{path}\n{key}".encode()).hexdigest()


def _look_up(path: Any) -> list[Any]:
    if "*" in str(path):
        files = [match for match in _glob(path) if not _is_mark(match) and not match.is_dir()]
    elif path.is_dir():
        files = [member for member in path.iterdir() if not _is_mark(member)]
        folders = sorted(member.name for member in files if member.is_dir())
        if folders:
            raise SourceError(
                f"{display(path)}: is a folder that holds other folders ({', '.join(folders[:3])} ...). "
                "Name the files in them with a pattern, such as folder/*/*.csv."
            )
    elif path.exists():
        files = [path]
    else:
        raise SourceError(f"{display(path)}: there is no such file. Check the path, and that the file was written.")
    if not files:
        raise SourceError(f"{display(path)}: no file matches. Check the path, and that the files were written.")
    return sorted(files, key=str)


def _stat(path: Any) -> Any:
    try:
        return path.stat()
    except Exception as e:  # as above
        raise SourceError(f"{display(path)}: cannot be looked up: {reason(e)}") from e


def _is_mark(path: Any) -> bool:
    return str(path.name).startswith((".", "_"))


def _glob(path: Any) -> Any:
    pattern = path.name
    base = path.parent
    while "*" in str(base):
        pattern = f"{base.name}/{pattern}"
        base = base.parent
    return base.glob(pattern)
