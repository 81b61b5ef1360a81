"""Dask's own scheduler with two workers that are threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from neurozsl.cluster import client as clients

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="package", name="threads")
def _threads() -> Iterator[Any]:
    """A client of a cluster of two threads of this process: Dask's own scheduler, no process."""
    import dask

    with (
        dask.config.set(clients._QUIET),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",  # None means the port 8787 on every address
            scheduler_kwargs={"dashboard": False},
            silence_logs=False,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def instead(threads: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every cluster that is asked for is the one of threads."""

    @contextmanager
    def opened(*_: object) -> Iterator[Any]:
        yield threads

    monkeypatch.setattr("neurozsl.cluster.run.opened", opened)
    return threads
