# SPDX-License-Identifier: Apache-2.0
"""Fuzzers: random kernels, damaged models."""
