"""A project whose jobs behave in every way that a job can, as the file `pipelines.py` of a test's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PIPELINES = """
import ctypes, os, random, signal, subprocess, sys, time
from pathlib import Path

import ematix_core as ematix
import pyarrow as pa

@ematix.connection
class lake:
    kind = "sqlite"
    path = "lake.db"

@ematix.connection
class bed:
    kind = "sqlite"  # a file has one writer at a time: who sleeps on this one keeps nobody from the other
    path = "bed.db"

@ematix.connection
class vault:
    kind = "sqlite"
    path = "${LAKE_PASSWORD:-vault}.db"

ROWS = pa.table({"id": [1, 2, 3]})
loads = dict(target_connection=lake)
sleeps = dict(target_connection=bed)

@ematix.job(target="good", **loads)
def good():
    return ROWS

@ematix.job(target="parameters", **loads)
def parameters(run):
    Path("parameters.txt").write_text(f"{run.slice} {dict(run.parameters)}")
    return ROWS

@ematix.job(target="broken", **loads)
def broken():
    raise ValueError("no such luck")

@ematix.job(target="leaves", **loads)
def leaves():
    sys.exit(3)

@ematix.job(target="exits", **loads)
def exits():
    print("the last words, without a line's end", end="")
    os._exit(3)

@ematix.job(target="killed", **loads)
def killed():
    os.kill(os.getpid(), signal.SIGKILL)

@ematix.job(target="crashes", **loads)
def crashes():
    print("about to crash")
    ctypes.string_at(0)

@ematix.job(target="hungry", **loads)
def hungry():
    eaten = []
    while len(eaten) < 400:
        eaten.append(bytearray(os.urandom(1 << 20)) * 4)
        time.sleep(0.005)
    return ROWS

@ematix.job(target="feeds", **loads)
def feeds():
    code = "import time; food = [bytes([1]) * (1 << 20) for _ in range(400)]; time.sleep(60)"
    subprocess.run([sys.executable, "-c", code])
    return ROWS

@ematix.job(target="asleep", **sleeps)
def asleep():
    Path("asleep.pid").write_text(str(os.getpid()))
    time.sleep(60)
    return ROWS

@ematix.job(target="rolls_back", **sleeps)
def rolls_back():
    yield ROWS
    Path("rolls_back.pid").write_text(str(os.getpid()))
    time.sleep(60)

@ematix.job(target="stubborn", **sleeps)
def stubborn():
    Path("stubborn.pid").write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

@ematix.job(target="stuck", **sleeps)
def stuck():
    ctypes.PyDLL(None).sleep(60)  # with the interpreter's lock held: no other thread runs

@ematix.job(target="prints", **loads)
def prints():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"past Python \\xff\\n")
    subprocess.run(["echo", "from a process of its own"])
    print("x" * 40_000)
    return ROWS

@ematix.job(target="talks", **loads)
def talks():
    for number in range(20_000):
        print("line", number)
    return ROWS

@ematix.job(target="tells", target_connection=vault)
def tells():
    print("the password is", os.environ["LAKE_PASSWORD"])
    return ROWS

@ematix.job(target="family", **sleeps)
def family():
    child = subprocess.Popen(["sleep", "600"])
    Path("family.pid").write_text(f"{os.getpid()} {os.getppid()} {child.pid}")
    time.sleep(60)

@ematix.job(target="leaves_a_child", **loads)
def leaves_a_child():
    child = subprocess.Popen(["sleep", "600"])
    Path("child.pid").write_text(str(child.pid))
    return ROWS

@ematix.job(target="draws", **loads)
def draws():
    import numpy
    with open("draws.txt", "a") as file:
        file.write(f"{random.random()} {numpy.random.random()}\\\\n")
    return ROWS
"""


def write_project(folder: Path, source: str = PIPELINES) -> None:
    """Make the folder a project."""
    (folder / "pipelines.py").write_text(source.replace("\\\\n", "\\n"), encoding="utf-8")
