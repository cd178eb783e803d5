# SPDX-License-Identifier: Apache-2.0
"""Data that goes into a network: what its inputs are, and feeds of arrays for them from whatever users have.

Imports nothing of the package but the errors.
"""
