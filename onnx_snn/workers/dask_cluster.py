# SPDX-License-Identifier: Apache-2.0
"""The workers of a Dask cluster as an executor."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from onnx_snn import extras
from onnx_snn.errors import ConfigError


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor over the cluster whose scheduler is at `address`, such as "tcp://127.0.0.1:8786".

    Raises:
        ConfigError: dask.distributed is not installed, or nothing answers at the address.
    """
    distributed = extras.required("distributed", "a Dask cluster", "dask")
    try:
        client = distributed.Client(address)
    except Exception as error:  # whatever the network, its addresses and the versions of both sides raise
        why = error or type(error).__name__
        raise ConfigError(f"no Dask scheduler answers at {address!r} ({why}); start one: dask scheduler") from error
    with client, client.get_executor() as executor:
        yield executor
