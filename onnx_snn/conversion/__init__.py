# SPDX-License-Identifier: Apache-2.0
"""A conversion from file to file, stage by stage; `pipeline` is the order of the stages."""
