# SPDX-License-Identifier: Apache-2.0
"""Lists of standard operators by what they do with the values of their inputs."""

from __future__ import annotations


def operators(names: str) -> frozenset[str]:
    """The operators in a list of names separated by blanks."""
    return frozenset(names.split())


MOVEMENT = operators(
    "Identity Cast CastLike Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather "
    "GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter Expand Tile Pad Where Dropout Trilu "
    "DepthToSpace SpaceToDepth Compress ReverseSequence Resize Upsample CenterCropPad Col2Im GridSample "
    "Unique MaxUnpool "
    # number formats of the original model
    "QuantizeLinear DequantizeLinear DynamicQuantizeLinear "
    # control flow and containers, whose bodies are visited separately
    "If Loop Scan SequenceMap SequenceConstruct SequenceAt SequenceInsert SequenceErase SequenceEmpty SequenceLength "
    "ConcatFromSequence SplitToSequence Optional OptionalGetElement OptionalHasElement"
)
"""Operators that move, repeat or select elements by their positions, or interpolate between them."""

SUMS = operators(
    "Add Sub Neg Sum Mean CumSum ReduceSum ReduceMean AveragePool GlobalAveragePool BatchNormalization "
    "RotaryEmbedding DFT STFT"
)
"""Operators that are linear in their data."""

SELECTION = operators("Max Min Clip MaxPool GlobalMaxPool MaxRoiPool ReduceMax ReduceMin TopK ArgMax ArgMin Hardmax")
"""Operators that compare and select values, which is exact without a neuron."""

SHAPES = operators("Shape Size EyeLike ConstantOfShape")
"""Operators that read the shape of their input, not its values."""

RANDOM = operators("RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial")
"""Operators that draw numbers."""

TRUTH = operators(
    "IsNaN IsInf Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor Not "
    "BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitShift StringNormalizer StringConcat StringSplit RegexFullMatch"
)
"""Operators whose outputs are truth values, bits or text."""

INDICES = operators("ArgMax ArgMin NonZero NonMaxSuppression SequenceLength OptionalHasElement")
"""Operators whose outputs are indices or counts."""

GATHERS = operators("Gather GatherElements GatherND")
"""Operators that select elements of their first input by the indices in their second one."""

INTEGER = operators("MatMulInteger ConvInteger QLinearMatMul QLinearConv")
"""Operators on the quantized integers of activations."""

INTEGER_MICROSOFT = operators(
    "MatMulIntegerToFloat DynamicQuantizeMatMul DynamicQuantizeLSTM QAttention QGemm QEmbedLayerNormalization "
    "QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu QLinearSoftmax QLinearConv QLinearConcat QLinearWhere "
    "QLinearAveragePool QLinearGlobalAveragePool QLinearReduceMean QOrderedMatMul QOrderedAttention QOrderedGelu "
    "QOrderedLayerNormalization QOrderedLongformerAttention QMoE MulInteger ReduceSumInteger"
)
"""Operators of onnxruntime on quantized integers of activations."""

CONTRACTIONS = operators("MatMul Gemm Einsum Conv ConvTranspose")
"""Operators that multiply two operands and sum over the products."""

RECURRENT = operators("LSTM GRU RNN")
"""Operators that hold a state over the elements of a sequence."""

RECURRENT_MICROSOFT = operators("DynamicQuantizeLSTM")
"""Operators of onnxruntime that do."""
