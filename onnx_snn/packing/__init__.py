# SPDX-License-Identifier: Apache-2.0
"""A tokenizer or an image processor in front of a network, and labels behind it, in one file.

Begin with `packer`; each stage of the graph in front is one file.
May import what stands above it in ARCHITECTURE.md.
"""
