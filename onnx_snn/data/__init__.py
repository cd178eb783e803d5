# SPDX-License-Identifier: Apache-2.0
"""Input data of a network: specifications of its inputs, and readers of calibration and evaluation data.

Begin with `feeds`: it turns every supported source of data into a sequence of checked feeds.
May import `neurons` and what that imports.
"""
