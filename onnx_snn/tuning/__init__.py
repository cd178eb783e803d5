# SPDX-License-Identifier: Apache-2.0
"""The cheapest neurons with which a network keeps its accuracy.

Begin with `tuner`: from measured sensitivities to a configuration; `solver` chooses the neurons.
May import `conversion` and what that imports.
"""
