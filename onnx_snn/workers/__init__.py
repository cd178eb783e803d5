# SPDX-License-Identifier: Apache-2.0
"""Runs of a network that several processes share, with the bits of one process.

Begin with `shards`: the batches of some data are divided into shards, which any executor runs in any order. What a
shard gives are partial results by batch, or counts, whose merging is exact.
May import `runtime` and what that imports.
"""
