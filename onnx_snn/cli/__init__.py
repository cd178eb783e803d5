# SPDX-License-Identifier: Apache-2.0
"""The command line.

Begin with `main`: one function a command; `parser` has the arguments.
May import everything else.
"""
