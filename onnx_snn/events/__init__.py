# SPDX-License-Identifier: Apache-2.0
"""A converted network event by event: proof that spikes and accumulations alone make its products.

Begin with `replayer`: from the spikes of a run it makes every product once more, and compares.
May import `profiling` and what that imports.
"""
