# SPDX-License-Identifier: Apache-2.0
"""`python -m onnx_snn` is the command line."""

import sys

from onnx_snn.cli.main import main

sys.exit(main())
