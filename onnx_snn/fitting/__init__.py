# SPDX-License-Identifier: Apache-2.0
"""From a function or a distribution of values to the neuron that represents it best.

- `function_fit` places the N segments of a piecewise-linear function, with T bits inside each;
- `identity_code` codes a signal with N such segments, with coarser levels where values are rare;
- `binary_codes` and `beta_codes` are sparse codes of few segments: the Pareto front of error and spikes;
- `shannon_bound` is the fewest spikes of any code of the same error;
- `paper_neuron` is the neuron of arXiv 2508.07710, with one resting potential for all bases.

No training and no random start: the same input gives the same bits, on any machine and number of threads.
"""
