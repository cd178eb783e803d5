# SPDX-License-Identifier: Apache-2.0
"""A conversion from file to file, stage by stage.

Begin with `pipeline`, the stages in their order: loading and selection are in `examination`, runs on data in
`calibrated_sites`, neurons in `neuron_choice`, the new graph in `rewriter` and `function_library`, the check against
the original in `verification`.
May import `allocation` and what that imports.
"""
