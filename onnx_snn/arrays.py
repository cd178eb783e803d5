# SPDX-License-Identifier: Apache-2.0
"""Types of NumPy arrays that the package names in its signatures."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
Int64: TypeAlias = NDArray[np.int64]
