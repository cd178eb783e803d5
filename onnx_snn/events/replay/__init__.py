# SPDX-License-Identifier: Apache-2.0
"""Proof that spikes and accumulations alone make the products of a network: begin with `replayer`."""
