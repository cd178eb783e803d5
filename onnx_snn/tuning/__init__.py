# SPDX-License-Identifier: Apache-2.0
"""The cheapest neurons with which a network keeps its accuracy.

Begin with `tuner`: the search from measured sensitivities to a configuration; `solver` makes the choice.
May import `profiling` and what that imports.
"""
