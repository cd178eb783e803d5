# SPDX-License-Identifier: Apache-2.0
"""Networks as servers and generators take them: their configuration, with the library of kernels in it."""
