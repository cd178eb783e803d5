# SPDX-License-Identifier: Apache-2.0
"""Pictures of a spiking network: what they show (`overview`, `neuron`) apart from who draws them.

`chart` says what a chart is. `interactive` draws it by plotly and `image` by matplotlib; `page` puts the charts and the
tables of `summary` into one HTML file that needs nothing else. May import what `reporting` does.
"""
