# SPDX-License-Identifier: Apache-2.0
"""The command line.

Begin with `main`: one function for each command; `parser` defines the arguments.
May import everything else.
"""
