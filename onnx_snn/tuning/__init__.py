# SPDX-License-Identifier: Apache-2.0
"""The cheapest neurons with which a network keeps its accuracy."""
