from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.parts.stop_flag import StopFlag
from airflow_provider_osmosdest.core.errors import (
    GivenUpError,
    MisconfiguredError,
    StorageError,
    SystemicError,
    TooManyFailuresError,
)


@pytest.mark.parametrize("kind", [MisconfiguredError, SystemicError])
def test_what_ends_every_part_stops_the_others(tmp_path, kind):
    StopFlag(tmp_path / "whole").stop_the_others(3, kind("it answered 401."))
    why = StopFlag(tmp_path / "whole").why()
    assert why == "Part 3 stopped, and with it all others, which would have ended alike: it answered 401."


@pytest.mark.parametrize("kind", [GivenUpError, TooManyFailuresError])
def test_what_may_be_one_part_s_alone_does_not(tmp_path, kind):
    StopFlag(tmp_path).stop_the_others(3, kind("no"))
    assert StopFlag(tmp_path).why() is None


def test_it_is_looked_up_once_a_second(tmp_path):
    now = 0.0
    flag = StopFlag(tmp_path, lambda: now)
    assert flag.why() is None
    StopFlag(tmp_path).stop_the_others(1, SystemicError("no"))
    now = 0.9
    assert flag.why() is None
    now = 1.0
    assert flag.why() is not None


def test_a_flag_that_is_lowered_stops_nothing(tmp_path):
    flag = StopFlag(tmp_path)
    flag.lower()
    flag.stop_the_others(1, SystemicError("no"))
    flag.lower()
    assert StopFlag(tmp_path).why() is None


def test_storage_that_fails_is_named(tmp_path):
    (tmp_path / "whole").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        StopFlag(tmp_path / "whole").stop_the_others(1, SystemicError("no"))
    with pytest.raises(StorageError, match="cannot be read"):
        StopFlag(tmp_path / "whole").why()
