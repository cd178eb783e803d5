# SPDX-License-Identifier: Apache-2.0
PREPROCESSOR = "preprocessor_config.json"


def pack_image(network, path):
    raise NotImplementedError
