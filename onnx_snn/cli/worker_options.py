# SPDX-License-Identifier: Apache-2.0
"""Arguments that say who runs the networks, and what becomes of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from onnx_snn.errors import ConfigError
from onnx_snn.workers.dask_cluster import dask_executor
from onnx_snn.workers.local_pool import LocalPool
from onnx_snn.workers.shards import Workers

Group: TypeAlias = "argparse.ArgumentParser | argparse._ArgumentGroup"


def add_workers(parser: Group) -> None:
    """Add the options of `workers`."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--workers", type=int, metavar="N", help="let N processes run the network on the data")
    who.add_argument("--dask", metavar="ADDRESS", help="let the workers of a Dask cluster do so")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="K",
        help="threads of each worker (default: 1); the result does not depend on the number of workers, but its last "
        "bits can depend on that of threads",
    )


@contextmanager
def workers(options: argparse.Namespace) -> Iterator[Workers | None]:
    """The workers that were asked for; None for this process.

    Raises:
        ConfigError: a number is not positive, or one of threads comes without workers; or there is no such cluster.
    """
    if options.workers is None and options.dask is None:
        if options.threads is not None:
            raise ConfigError("--threads belongs to workers; give --workers or --dask as well")
        yield None
        return
    threads = 1 if options.threads is None else options.threads
    if options.dask is not None:
        with dask_executor(options.dask) as cluster:
            yield Workers(cluster, threads=threads)
    else:
        with LocalPool(options.workers) as pool:
            yield Workers(pool, threads=threads, shards=2 * options.workers)
