# SPDX-License-Identifier: Apache-2.0
"""Options of a conversion and of single neurons, checked where they are given.

Begin with `convert_config`: the options, and what each number of time steps chooses.
May import `decompositions` and what that imports.
"""
