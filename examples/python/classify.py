# SPDX-License-Identifier: Apache-2.0
"""Classify images with a spiking network in plain onnxruntime.

    pip install onnxruntime numpy
    python classify.py vit-snn.onnx models/vit-cifar10/test.npz

The .npz holds one array per model input, samples along the first axis, and may hold the true `labels`.
"""

import sys

import numpy as np
import onnxruntime

SAMPLES = 128
BATCH = 16

model, data = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
samples = {name: array[:SAMPLES] for name, array in np.load(data).items()}
labels = samples.pop("labels", None)
count = len(next(iter(samples.values())))

predictions = []
for start in range(0, count, BATCH):
    feeds = {name: array[start : start + BATCH] for name, array in samples.items()}
    (logits,) = session.run(["logits"], feeds)
    predictions.append(logits.argmax(axis=-1))
predicted = np.concatenate(predictions)

print("classes:", *predicted[:BATCH])
if labels is not None:
    print(f"accuracy: {np.mean(predicted == labels):.2%} of {count} samples")
