# SPDX-License-Identifier: Apache-2.0
def write_unigram(write, texts, files):
    raise NotImplementedError
