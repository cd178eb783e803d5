# SPDX-License-Identifier: Apache-2.0
"""Options of a conversion and of single neurons, checked where they are given."""
