# SPDX-License-Identifier: Apache-2.0
"""A spiking network beside its original, as one HTML file or as pictures.

Begin with `survey`: all figures of a report, gathered from runs; `charts` draws them.
May import `tuning` and what that imports.
"""
