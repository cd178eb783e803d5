# SPDX-License-Identifier: Apache-2.0
"""Charts of a spiking network: their contents (`overview`, `neuron`) are independent of the library that draws them.

`chart` defines the description of a chart. `interactive` draws it with plotly, `image` with matplotlib; `page` puts the
charts and the tables of `summary` into one self-contained HTML file. May import what `reporting` does.
"""
