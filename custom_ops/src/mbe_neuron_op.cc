// SPDX-License-Identifier: Apache-2.0
#include "mbe_neuron_op.h"

#include "tasks.h"

namespace onnx_snn {
namespace {

// What one run evaluates.
struct Run {
  const KernelContext& context;
  const Neuron& neuron;
  const Scales& scales;
  const Tensor& x;
  float* y;
  std::int64_t* spikes;

  // One scale for all elements.
  void evaluate_flat() const {
    const Tasks tasks(x.elements, 1);
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_spikes(spikes, neuron);
      const std::size_t first = tasks.first(task);
      evaluate(0, 0, first, tasks.last(task) - first, task_spikes);
    });
  }

  // Scales that go along x.
  void evaluate_runs() const {
    const Runs runs(scales.tensor.shape, x.shape);
    const Tasks tasks(runs.count(), runs.length());
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_spikes(spikes, neuron);
      runs.each(tasks.first(task), tasks.last(task), [&](std::size_t run, std::size_t offset) {
        evaluate(offset, runs.stride(), run * runs.length(), runs.length(), task_spikes);
      });
    });
  }

 private:
  void evaluate(std::size_t scale_offset, std::size_t scale_stride, std::size_t first, std::size_t count,
                TaskSpikes& task_spikes) const {
    const Scale scale{scales.kind, {scales.tensor.values + scale_offset, scale_stride}};
    if (spikes != nullptr) kernels().count_spikes(neuron, scale, x.values + first, count, task_spikes.counts());
    kernels().evaluate(neuron, scale, x.values + first, y + first, count);
  }
};

}  // namespace

MbeNeuronOp::MbeNeuronOp(const KernelInfo& info)
    : node_(kSignature, info),
      neuron_(node_, info, 1, {node_.odd(info)}),
      scales_(node_, info, neuron_.next_input()) {}

void MbeNeuronOp::compute(const KernelContext& context) const {
  Parameter<NeuronReader>::Local local_neuron;
  Parameter<ScaleReader>::Local local_scales;
  const Tensor x = node_.input(context, 0);
  const Neuron& neuron = neuron_.value(context, local_neuron);
  const Scales& scales = scales_.value(context, local_scales);
  node_.require_broadcast(scales_.first_input(), scales.tensor.shape, x.shape);

  float* const y = node_.result(context, x.shape);
  std::int64_t* const spikes = node_.spikes(context, 1, neuron);
  if (x.elements == 0) return;
  const Run run{context, neuron, scales, x, y, spikes};
  if (scales.tensor.elements == 1 || scales.kind == Rescaling::kNone) {
    run.evaluate_flat();
  } else {
    run.evaluate_runs();
  }
}

}  // namespace onnx_snn
