# SPDX-License-Identifier: Apache-2.0
"""Reports of a spiking network and its original: one HTML page, or PNG files.

Begin with `survey`: it collects all figures of a report from runs; `charts` draws them.
May import `tuning` and what that imports.
"""
