# SPDX-License-Identifier: Apache-2.0
"""A network beside its original, as one HTML file or pictures."""
