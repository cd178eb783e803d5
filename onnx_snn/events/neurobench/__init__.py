# SPDX-License-Identifier: Apache-2.0
"""The figures of NeuroBench: `figures` defines them, `meter` measures them."""
