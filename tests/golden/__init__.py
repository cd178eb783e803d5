# SPDX-License-Identifier: Apache-2.0
"""Golden files: networks that a release converted, whose outputs later ones must reproduce bit by bit."""
