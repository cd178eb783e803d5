# SPDX-License-Identifier: Apache-2.0
"""A converted network in standard operators alone, in which every spike is an element of a boolean tensor.

Begin with `unroller`. May import `events` and what that imports.
"""
