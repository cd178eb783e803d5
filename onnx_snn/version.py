# SPDX-License-Identifier: Apache-2.0
"""Version of the package, read from its installed metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("onnx-snn")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0+unknown"
