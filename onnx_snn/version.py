# SPDX-License-Identifier: Apache-2.0
"""Version of the package, read from its installed metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("onnx-snn")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
