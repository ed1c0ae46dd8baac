"""`[scheduler]`, `[pools]` and `[store] keep`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.scheduling import SchedulerSettings
from ematix_core.config.settings import Settings
from ematix_core.config.size import parse_size
from ematix_core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, text: str, user: str = "") -> Settings:
    """Load settings from the texts of the project's file and the user's."""
    (folder / "ematix.toml").write_text(text)
    (folder / "config" / "ematix").mkdir(parents=True)
    (folder / "config" / "ematix" / "ematix.toml").write_text(user)
    return Settings.load(folder, environ={"XDG_CONFIG_HOME": str(folder / "config")})


def test_defaults_hold_for_what_no_file_says(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.scheduler == SchedulerSettings(executor="process", parallel=8, lease_seconds=10.0, memory=None)
    assert settings.pools == {}
    assert settings.alerts == {}
    assert settings.keep is None


def test_a_file_sets_executor_limits_pools_and_retention(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [scheduler]
        executor = "kubernetes://prod/jobs?image=shop:1"
        parallel = 4
        lease_seconds = 2.5
        memory = "1 GiB"
        [pools]
        warehouse = 2
        [store]
        keep = "90 days"
        """,
    )
    assert settings.scheduler == SchedulerSettings(
        executor="kubernetes://prod/jobs?image=shop:1", parallel=4, lease_seconds=2.5, memory="1 GiB"
    )
    assert settings.pools == {"warehouse": 2}
    assert settings.keep == timedelta(days=90)


def test_each_key_of_the_projects_file_wins_over_the_users(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "[scheduler]\nparallel = 2\n[pools]\na = 1",
        "[scheduler]\nparallel = 9\nexecutor = 'thread'\n[pools]\na = 5\nb = 6\n[store]\nkeep = '1 week'",
    )
    assert settings.scheduler == SchedulerSettings(executor="thread", parallel=2)
    assert settings.pools == {"a": 1, "b": 6}
    assert settings.keep == timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[scheduler]\nparalel = 8", r"unknown key 'paralel' \(.*\[scheduler\]\)\nDid you mean 'parallel'"),
        ("[scheduler]\nexecutor = 'threads'", r"unknown executor 'threads' .*\nDid you mean 'thread'.*a URL"),
        ("[scheduler]\nexecutor = 3", "executor must be text, such as 'process'"),
        ("[scheduler]\nparallel = 0", "parallel must be a whole number above 0, such as 8"),
        ("[scheduler]\nparallel = true", "parallel must be a whole number"),
        ("[scheduler]\nlease_seconds = '10'", "lease_seconds must be a number above 0, such as 10"),
        ("[scheduler]\nlease_seconds = inf", "lease_seconds must be a number"),
        ("[scheduler]\nmemory = 'much'", r"'much' is no amount of memory \(.*\[scheduler\]\)\nWrite 512 MiB"),
        ("[scheduler]\nmemory = 512", "memory must be text, such as '1 GiB'"),
        ("[pools]\nwarehouse = 'two'", r"warehouse must be a whole number above 0, such as 2 \(.*\[pools\]\)"),
        ("pools = 1", "pools must be a table"),
        ("[store]\nkeep = '90'", r"keep='90' is no length of time \(.*\[store\]\)"),
        ("[store]\nkeep = '3 monts'", "unknown unit"),
        ("[store]\nkeep = 90", "keep must be text, such as '90 days'"),
        ("[sheduler]", "Did you mean 'scheduler'"),
    ],
)
def test_a_mistake_is_named_with_file_and_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512 MiB", 512 << 20),
        ("2GB", 2_000_000_000),
        ("1.5 gib", 3 << 29),
        ("1073741824", 1 << 30),
        ("512M", 512_000_000),
    ],
)
def test_amounts_of_memory_are_read_in_powers_of_1000_and_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0 MB", "-1 GB", "1 PiB", "512 MiB more", "GB"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no amount of memory"):
        parse_size(text)
