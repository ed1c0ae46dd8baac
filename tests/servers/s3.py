"""Fixtures of tests on S3: a prefix of the test's own on the server, and a proxy with faults before it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ematix_core.testing.s3_faults import S3Faults
from tests.servers.reach import url
from tools.servers.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_prefix() -> Iterator[Bucket]:
    """Make a prefix that nobody else uses; what it holds is deleted at the end."""
    place = replace(Bucket.from_url(url("s3")), prefix=f"test-{uuid4().hex[:12]}")
    try:
        yield place
    finally:
        place.clear()


@pytest.fixture
def s3() -> Iterator[Bucket]:
    """Yield a prefix of the test's own."""
    with own_prefix() as place:
        yield place


@pytest.fixture
def s3_faults(s3: Bucket) -> Iterator[S3Faults]:
    """Yield a proxy before the server: `s3.at(s3_faults.endpoint)` is the same prefix through it.

    Fails the test at its end if a rule was never applied: it would have shown nothing.
    """
    with S3Faults(s3.endpoint) as faults:
        yield faults
    assert not faults.unused, f"no request met {faults.unused}; there were {faults.requests}"
