"""From a name or URL to an executor."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import ConfigError, MissingDriverError, SecretError
from ematix_core.scheduler.executors.choice import executor_of
from ematix_core.scheduler.executors.function import FunctionExecutor
from ematix_core.scheduler.executors.options import ExecutorUrl
from ematix_core.scheduler.executors.process import ProcessExecutor
from ematix_core.scheduler.executors.thread import ThreadExecutor

if TYPE_CHECKING:
    from ematix_core.store import RunStore


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("thread", ThreadExecutor),
        ("thread?grace=2", ThreadExecutor),
        ("process", ProcessExecutor),
        ("process?memory=512 MiB&grace=2.5", ProcessExecutor),
        ("https://jobs.example.com/run?x=1#wait=30&directory=/app", FunctionExecutor),
        ("http://localhost:8080#token=abc", FunctionExecutor),
    ],
)
def test_names_and_urls_choose_the_executor(name: str, kind: type, store: RunStore) -> None:
    executor = executor_of(name, store=store, memory="1 GiB")
    assert isinstance(executor, kind)
    executor.close()
    executor.close()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("proces", "unknown executor 'proces'\nDid you mean 'process'?"),
        ("", "'' is no executor"),
        ("2 processes", "'2 processes' is no executor"),
        ("process?memry=1 GiB", "unknown option 'memry' (executor process)\nDid you mean 'memory'?"),
        ("process?memory=much", "'much' is no amount of memory"),
        ("process?grace=soon", "grace='soon' is no number of seconds"),
        ("thread?grace=-1", "grace='-1' is no number of seconds"),
        ("thread?memory=1 GiB", "unknown option 'memory'"),
        ("kubernetes://etl", "the option 'image' is missing"),
        ("https://", "the function's URL has no host, or a user before it"),
        ("https://me:pass@jobs.example.com/run", "the function's URL has no host, or a user before it"),
        ("http://jobs.example.com/run#token=abc", "a token would be sent in the clear"),
        ("lambda://?region=eu-west-1", "the URL names no function"),
    ],
)
def test_mistakes_are_told_with_what_was_meant(name: str, complaint: str, store: RunStore) -> None:
    with pytest.raises(ConfigError) as error:
        executor_of(name, store=store)
    assert complaint in str(error.value)


def test_memory_of_the_settings_has_no_effect_on_threads_and_they_say_so(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    executor_of("thread", store=store, memory="512 MiB").close()
    assert "cannot hold jobs to the memory limit of 512 MiB" in caplog.text


def test_reference_that_cannot_be_resolved_is_told(store: RunStore) -> None:
    with pytest.raises(SecretError, match="NO_SUCH_TOKEN"):
        executor_of("https://jobs.example.com#token=${NO_SUCH_TOKEN}", store=store)


def test_secrets_of_a_url_are_not_shown() -> None:
    url = ExecutorUrl.parse("https://me:hunter2@jobs.example.com/run#token=hunter2")
    assert "hunter2" not in repr(url)
    assert "hunter2" not in url.where


@pytest.mark.parametrize(
    ("name", "module", "hint"),
    [
        ("kubernetes://etl?image=shop:1", "kubernetes", 'pip install "ematix[kubernetes]"'),
        ("lambda://jobs", "boto3", 'pip install "ematix[aws]"'),
    ],
)
def test_library_that_is_missing_is_named_with_the_command_that_installs_it(
    name: str, module: str, hint: str, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDriverError) as error:
        executor_of(name, store=store)
    assert hint in str(error.value)


def test_choosing_loads_no_library_of_an_executor_that_was_not_chosen() -> None:
    code = (
        "import sys\nfrom ematix_core.scheduler.executors.choice import executor_of\n"
        "print(*(name for name in ('kubernetes', 'boto3', 'duckdb', 'pyarrow', 'sqlalchemy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
