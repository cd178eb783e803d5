// SPDX-License-Identifier: Apache-2.0
#include "ops/spiking_normalization_op.h"

#include "ops/guard.h"
#include "ops/parallel_tasks.h"
#include "simd/dispatch.h"

namespace onnx_snn {
namespace {

// What one run evaluates.
struct Run {
  const KernelContext& context;
  const Tensor& x;
  float* y;
  const Normalization& normalization;  // without the scale, gamma and beta of a row
  RowValues scale, gamma, beta;
  RunSpikes &deviation_spikes, &rsqrt_spikes;

  void evaluate() const {
    const std::size_t length = x.shape.sides[x.shape.rank - 1];
    const bool shared = scale.shared() && gamma.shared() && beta.shared();
    const Tasks tasks(x.elements / length, length);
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_deviation(deviation_spikes), task_rsqrt(rsqrt_spikes);
      Normalization along_rows = normalization;
      along_rows.deviation_spikes = task_deviation.counter();
      along_rows.rsqrt_spikes = task_rsqrt.counter();
      const std::size_t last = tasks.last(task);
      const std::size_t rows = shared ? last - tasks.first(task) : 1;
      for (std::size_t row = tasks.first(task); row < last; row += rows) {
        along_rows.deviation_scale.along = scale.along(row);
        along_rows.gamma = gamma.along(row);
        along_rows.beta = beta.along(row);
        kernels().normalize(along_rows, x.values + row * length, y + row * length, rows, length);
      }
    });
  }
};

}  // namespace

// Inputs follow each other as in the signature.
SpikingNormalizationOp::SpikingNormalizationOp(const Signature& signature, const KernelInfo& info, bool centred,
                                               bool guarded)
    : node_(signature, info),
      centred_(centred),
      gamma_(node_, info, 1),
      epsilon_(node_, info, centred ? 3 : 2),
      deviation_(node_, info, epsilon_.next_input(), {node_.odd(info)}),
      deviation_scales_(node_, info, deviation_.next_input()),
      rsqrt_(node_, info, deviation_scales_.next_input()) {
  if (centred) beta_.emplace(node_, info, gamma_.next_input());
  if (guarded) range_.emplace(node_, info, rsqrt_.next_input());
}

void SpikingNormalizationOp::compute(const KernelContext& context) const {
  Parameter<EpsilonReader>::Local local_epsilon;
  Parameter<NeuronReader>::Local local_deviation, local_rsqrt;
  Parameter<ScaleReader>::Local local_scales;
  const Tensor x = node_.input(context, 0);
  const float epsilon = epsilon_.value(context, local_epsilon);
  const Neuron& deviation = deviation_.value(context, local_deviation);
  const Neuron& rsqrt = rsqrt_.value(context, local_rsqrt);
  const Scales& scales = deviation_scales_.value(context, local_scales);
  node_.require_rows(x.shape);
  node_.require_broadcast(deviation_scales_.first_input(), scales.tensor.shape, x.shape);
  const RowValues gamma = row_values(gamma_, context, x.shape);
  const RowValues beta = beta_ ? row_values(*beta_, context, x.shape) : RowValues();

  float* const y = node_.result(context, x.shape);
  RunSpikes deviation_spikes(range_ ? nullptr : node_.spikes(context, 1, deviation), deviation);
  RunSpikes rsqrt_spikes(range_ ? nullptr : node_.spikes(context, 2, rsqrt), rsqrt);
  const RunGuard guard(node_, context, range_);
  if (x.elements == 0) return;
  Normalization normalization{centred_, deviation, rsqrt, {scales.kind, {}}, epsilon, {}, {}};
  if (guard.get()) normalization.deviation_guard = &*guard.get();
  Run{context, x, y, normalization, RowValues(scales.tensor, x.shape), gamma, beta, deviation_spikes, rsqrt_spikes}
      .evaluate();
}

RowValues SpikingNormalizationOp::row_values(const Parameter<TensorReader>& parameter, const KernelContext& context,
                                             const Shape& x) const {
  Parameter<TensorReader>::Local local;
  const Tensor& tensor = parameter.value(context, local);
  node_.require_broadcast(parameter.first_input(), tensor.shape, x);
  node_.require_no_more_axes(parameter.first_input(), tensor.shape, x);
  return RowValues(tensor, x);
}

}  // namespace onnx_snn
