"""What is done around the messages of a topic without a broker: the collector of cycles, which rests meanwhile."""

from __future__ import annotations

import gc

import pytest

from ematix_core.backends.kafka.messages import collector_at_rest


def test_the_collector_rests_for_a_while_and_works_again_whatever_happens() -> None:
    with collector_at_rest():
        assert not gc.isenabled()
        with collector_at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(LookupError), collector_at_rest():
        raise LookupError
    assert gc.isenabled()


def test_a_collector_that_its_owner_has_stopped_stays_so() -> None:
    gc.disable()
    try:
        with collector_at_rest():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
