# SPDX-License-Identifier: Apache-2.0
"""The command line.

Begin with `main`; `commands/` holds the commands, one a file, and the other modules are what several of them share.
May import everything else.
"""
