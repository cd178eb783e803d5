# SPDX-License-Identifier: Apache-2.0
"""A conversion from file to file, stage by stage.

Begin with `pipeline`: the stages in their order.
May import `evaluation` and what that imports.
"""
