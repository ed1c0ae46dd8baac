"""Messages out of folders: what is found, what is left alone, and what becomes of it afterwards."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.engine.environment import Environment
from ematix_core.errors import AccessError, MissingSourceError, SourceError
from ematix_core.model.connection import ObjectStoreConnection
from ematix_core.model.message import inbox
from ematix_core.scheduler import inbox as inbox_module
from ematix_core.scheduler.messages import LARGEST, Message, MessagePoller, path_of
from ematix_core.scheduler.pollers import open_poller

if TYPE_CHECKING:
    from pathlib import Path

OLD = 1_769_824_800_123_456_789
"""The time of the last change of a file that has long been complete: 2026-01-31 02:00."""


def drop(folder: Path, name: str, content: bytes = b"{}", changed: int = OLD) -> Path:
    """Put a complete file there."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(changed, changed))
    return path


def folder_poller(folder: Path, path: str = "*", after: str = "move") -> MessagePoller:
    lake = ObjectStoreConnection("lake", path=str(folder))
    source = inbox("orders_in", connection=lake, path=path, after=after)  # type: ignore[arg-type]  # of the parameters
    return open_poller(source, Environment())


def paths(messages: list[Message]) -> list[str]:
    return [path_of(message.position) for message in messages]


def test_files_come_in_the_order_of_their_last_change_with_their_content(tmp_path: Path) -> None:
    drop(tmp_path, "b.json", b'{"order": 1}', OLD)
    drop(tmp_path, "a.json", b"[2, 3]", OLD + 1)
    drop(tmp_path, "c.csv", "id,name\n1,café\n".encode(), OLD + 1)
    drop(tmp_path, "d.parquet", b"PAR1\0\xff", OLD + 2)
    drop(tmp_path, "e.json", b"{broken", OLD + 3)
    found = folder_poller(tmp_path).poll(())
    assert found[0] == Message("b.json@20260131T020000.123456789Z", {"order": 1})
    assert paths(found) == ["b.json", "a.json", "c.csv", "d.parquet", "e.json"]
    assert [message.payload for message in found[1:]] == [[2, 3], "id,name\n1,café\n", None, "{broken"]


def test_a_glob_says_where_files_come(tmp_path: Path) -> None:
    for name in ("in/eu/1.json", "in/us/2.json", "in/us/2.csv", "3.json", "in/us/deep/4.json"):
        drop(tmp_path, name)
    assert paths(folder_poller(tmp_path, "in/*/*.json").poll(())) == ["in/eu/1.json", "in/us/2.json"]
    assert len(folder_poller(tmp_path, "in/**/*.{json,csv}").poll(())) == 4
    assert paths(folder_poller(tmp_path).poll(())) == ["3.json"]


def test_files_that_are_being_written_are_left_alone(tmp_path: Path) -> None:
    for name in (".hidden.json", "_temporary.json", "a.json.tmp", "b.part", ".folder/c.json", "_folder/d.json"):
        drop(tmp_path, name)
    assert folder_poller(tmp_path, "**").poll(()) == []


def test_a_file_that_grows_waits_until_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "SETTLED", 0.2)
    reader, growing = folder_poller(tmp_path), tmp_path / "big.csv"
    for line in range(5):
        with growing.open("a") as file:
            file.write(f"{line}\n")
        assert reader.poll(()) == []
        time.sleep(0.05)
    time.sleep(0.2)
    (message,) = reader.poll(())
    assert message.payload == "0\n1\n2\n3\n4\n"


def test_a_file_from_a_clock_that_is_ahead_is_complete_when_it_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "SETTLED", 0.1)
    ahead = time.time_ns() + 3_600_000_000_000
    drop(tmp_path, "a.json", b"1", ahead)
    reader = folder_poller(tmp_path)
    assert reader.poll(()) == []
    drop(tmp_path, "a.json", b"12", ahead)
    time.sleep(0.12)
    assert reader.poll(()) == []
    time.sleep(0.12)
    assert [message.payload for message in reader.poll(())] == [12]


def test_what_is_known_is_left_out_and_no_more_come_than_are_wanted(tmp_path: Path) -> None:
    for number in range(5):
        drop(tmp_path, f"{number}.json", changed=OLD + number)
    reader = folder_poller(tmp_path)
    first = reader.poll((), limit=2)
    assert paths(first) == ["0.json", "1.json"]
    known = {message.position for message in first}
    assert paths(reader.poll(known, limit=2)) == ["2.json", "3.json"]


def test_a_file_of_the_same_name_that_comes_later_is_another_message(tmp_path: Path) -> None:
    reader = folder_poller(tmp_path)
    drop(tmp_path, "orders.csv", b"first")
    (first,) = reader.poll(())
    reader.done(first.position)
    drop(tmp_path, "orders.csv", b"second", OLD + 1)
    (second,) = reader.poll({first.position})
    assert second.payload == "second"
    reader.done(first.position)
    assert (tmp_path / "orders.csv").read_text() == "second"
    reader.done(second.position)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
        "orders-20260131T020000.123456790Z.csv", "orders.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(("after", "left"), [("move", ["in/done/a.json"]), ("delete", []), ("keep", ["in/a.json"])])
def test_a_file_is_moved_deleted_or_left_after_its_run(tmp_path: Path, after: str, left: list[str]) -> None:
    drop(tmp_path, "in/a.json")
    reader = folder_poller(tmp_path, "in/**/*.json", after)
    (message,) = reader.poll(())
    for _ in range(2):
        reader.done(message.position)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")] == left
    assert reader.poll({message.position}) == []
    assert reader.remaining([message.position, "in/gone.json@20260131T020000.123456789Z"]) == []
    reader.close()


def test_what_a_dead_scheduler_left_lying_is_found_again(tmp_path: Path) -> None:
    drop(tmp_path, "a.json")
    drop(tmp_path, "b.json")
    known = [message.position for message in folder_poller(tmp_path).poll(())]
    again = folder_poller(tmp_path)
    assert again.poll(frozenset(known)) == []
    assert again.remaining(known[:1]) == known[:1]
    again.done(known[0])
    assert again.remaining(known) == known[1:]


def test_two_schedulers_may_look_and_tidy_at_once(tmp_path: Path) -> None:
    for number in range(20):
        drop(tmp_path, f"{number}.json")
    first, second = folder_poller(tmp_path), folder_poller(tmp_path)
    found = first.poll(())
    assert second.poll(()) == found
    script = (
        "import sys\nfrom ematix_core.engine.environment import Environment\n"
        "from ematix_core.model.connection import ObjectStoreConnection\n"
        "from ematix_core.model.message import inbox\nfrom ematix_core.scheduler.pollers import open_poller\n"
        "lake = ObjectStoreConnection('lake', path=sys.argv[1])\n"
        "poller = open_poller(inbox('in', connection=lake), Environment())\n"
        "for position in sys.argv[2:]:\n    poller.done(position)\n"
    )
    positions = [message.position for message in found]
    both = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), *positions]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(list((tmp_path / "done").iterdir())) == 20
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("place", ["inbox.done.before", "inbox.done.after"])
def test_a_kill_while_a_file_is_moved_loses_nothing(tmp_path: Path, place: str) -> None:
    drop(tmp_path, "a.json", b"1")
    (message,) = folder_poller(tmp_path).poll(())
    script = (
        "import sys\nfrom ematix_core.engine.environment import Environment\n"
        "from ematix_core.model.connection import ObjectStoreConnection\n"
        "from ematix_core.model.message import inbox\nfrom ematix_core.scheduler.pollers import open_poller\n"
        "lake = ObjectStoreConnection('lake', path=sys.argv[1])\n"
        "open_poller(inbox('in', connection=lake), Environment()).done(sys.argv[2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), message.position],
        env=os.environ | {"EMATIX_FAILPOINT": place}, check=False,
    )  # fmt: skip
    assert done.returncode == -9
    again = folder_poller(tmp_path)
    assert again.poll({message.position}) == []
    for position in again.remaining([message.position]):
        again.done(position)
    assert [path.read_text() for path in tmp_path.rglob("*.json")] == ["1"]
    assert (tmp_path / "done" / "a.json").exists()


def test_a_large_file_stays_where_it_is(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv", b"x" * (LARGEST + 1))
    drop(tmp_path, "b.csv", b"x" * LARGEST, OLD + 1)
    assert [message.payload is None for message in folder_poller(tmp_path).poll(())] == [True, False]


def test_what_cannot_be_a_message_is_named_once_and_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "SETTLED", 0.0)
    drop(tmp_path, os.fsdecode(b"\xff.json"))
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "unreadable.json").symlink_to("/proc/self/mem")
    (tmp_path / "dangling.json").symlink_to("nowhere")
    drop(tmp_path, "fine.json")
    reader = folder_poller(tmp_path)
    for _ in range(3):
        assert paths(reader.poll(())) == ["fine.json"]
    assert sorted(record.message for record in caplog.records if record.levelno == logging.WARNING) == [
        f"message source orders_in: {name!r} is left out, because {why}"
        for name, why in (
            ("\udcff.json", "its name is no UTF-8"),
            ("fifo.json", "it is no ordinary file"),
            ("loop.json", "it cannot be looked at: Too many levels of symbolic links"),
            ("unreadable.json", "it cannot be read: Input/output error"),
        )
    ]


@pytest.mark.parametrize(("path", "missing"), [("*", "lake"), ("in/*.json", "lake/in")])
def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, path: str, missing: str) -> None:
    reader = folder_poller(tmp_path / "lake", path)
    said = (
        f"there is no folder {tmp_path}/{missing} (message source orders_in)\n"
        f"Make it (mkdir -p {tmp_path}/{missing}), or correct the connection's path or path=."
    )
    with pytest.raises(MissingSourceError, match=re.escape(said)):
        reader.check()
    with pytest.raises(MissingSourceError, match=re.escape(said)):
        reader.poll(())


def test_a_folder_that_may_not_be_changed_is_refused_where_files_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)  # root may write everywhere
    with pytest.raises(AccessError, match="cannot be read and changed"):
        folder_poller(tmp_path).check()
    folder_poller(tmp_path, after="keep").check()


@pytest.mark.parametrize("path", ["../*.json", "/etc/*", "in/../../*"])
def test_a_path_that_leads_out_of_the_connection_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match="is no path below the connection"):
        folder_poller(tmp_path, path)
