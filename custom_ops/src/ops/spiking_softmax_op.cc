// SPDX-License-Identifier: Apache-2.0
#include "ops/spiking_softmax_op.h"

#include "ops/parallel_tasks.h"
#include "simd/dispatch.h"

namespace onnx_snn {

SpikingSoftmaxOp::SpikingSoftmaxOp(const KernelInfo& info)
    : node_(kSignature, info), exp2_(node_, info, 1), reciprocal_(node_, info, exp2_.next_input()) {}

void SpikingSoftmaxOp::compute(const KernelContext& context) const {
  Parameter<NeuronReader>::Local local_exp2, local_reciprocal;
  const Tensor x = node_.input(context, 0);
  const Neuron& exp2 = exp2_.value(context, local_exp2);
  const Neuron& reciprocal = reciprocal_.value(context, local_reciprocal);
  node_.require_rows(x.shape);

  float* const y = node_.result(context, x.shape);
  const std::size_t length = x.shape.sides[x.shape.rank - 1];
  RunSpikes exp2_spikes(node_.spikes(context, 1, exp2), exp2);
  RunSpikes reciprocal_spikes(node_.spikes(context, 2, reciprocal), reciprocal);
  if (x.elements == 0) return;
  const Tasks tasks(x.elements / length, length);
  context.parallel_for(tasks.count(), [&](std::size_t task) {
    TaskSpikes task_exp2(exp2_spikes), task_reciprocal(reciprocal_spikes);
    const Softmax softmax{exp2, reciprocal, task_exp2.counter(), task_reciprocal.counter()};
    const std::size_t first = tasks.first(task), last = tasks.last(task);
    kernels().softmax(softmax, x.values + first * length, y + first * length, last - first, length);
  });
}

}  // namespace onnx_snn
