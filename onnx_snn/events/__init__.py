# SPDX-License-Identifier: Apache-2.0
"""A converted network spike by spike.

`replay/` makes every product once more from spikes alone, and compares; `trains/` writes the spikes to files;
`neurobench/` counts what they do by the definitions of NeuroBench. The modules beside them tell which spikes a run has.
May import `profiling` and what that imports.
"""
