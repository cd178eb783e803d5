# SPDX-License-Identifier: Apache-2.0
"""Inputs of a network: what it takes, and the data that users give for it.

Begin with `feeds`: whatever users have becomes a sequence of checked feeds.
May import `neurons` and what that imports.
"""
