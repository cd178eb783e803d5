// SPDX-License-Identifier: Apache-2.0
#include "ops/mbe_neuron_op.h"

#include <algorithm>
#include <array>

#include "ops/broadcast.h"
#include "ops/guard.h"
#include "ops/parallel_tasks.h"
#include "simd/dispatch.h"

namespace onnx_snn {
namespace {

// Scales of shorter runs are written out one for each element, so that one call of a kernel covers many runs.
constexpr std::size_t kShortRun = 512;

// Elements that are counted right after their evaluation: few enough to be in the cache still, many enough that the
// calls of the kernels take no time.
constexpr std::size_t kWatched = 1u << 14;

// What one run evaluates.
struct Run {
  const KernelContext& context;
  const Neuron& neuron;
  const Scales& scales;
  const Tensor& x;
  float* y;
  RunSpikes& spikes;
  const std::optional<Guard>& guard;

  // One scale for all elements.
  void evaluate_flat() const {
    const Tasks tasks(x.elements, 1);
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_spikes(spikes);
      const std::size_t first = tasks.first(task);
      evaluate({scales.tensor.values, 0}, first, tasks.last(task) - first, task_spikes);
    });
  }

  // Scales that go along x in long runs.
  void evaluate_runs(const Runs& runs) const {
    const Tasks tasks(runs.count(), runs.length());
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_spikes(spikes);
      runs.each(tasks.first(task), tasks.last(task), [&](std::size_t run, std::size_t offset) {
        evaluate({scales.tensor.values + offset, runs.stride()}, run * runs.length(), runs.length(), task_spikes);
      });
    });
  }

  // Scales that go along x in short runs.
  void evaluate_short_runs(const Runs& runs) const {
    const Tasks tasks(runs.count(), runs.length());
    context.parallel_for(tasks.count(), [&](std::size_t task) {
      TaskSpikes task_spikes(spikes);
      std::array<float, kShortRun> written;
      std::size_t first = tasks.first(task) * runs.length(), count = 0;
      const auto flush = [&] {
        evaluate({written.data(), 1}, first, count, task_spikes);
        first += count;
        count = 0;
      };
      runs.each(tasks.first(task), tasks.last(task), [&](std::size_t, std::size_t offset) {
        if (count + runs.length() > written.size()) flush();
        const float* const scale = scales.tensor.values + offset;
        float* const end = written.data() + count;
        if (runs.stride() == 0) {
          std::fill_n(end, runs.length(), *scale);
        } else {
          std::copy_n(scale, runs.length(), end);
        }
        count += runs.length();
      });
      flush();
    });
  }

 private:
  void evaluate(const Along& along, std::size_t first, std::size_t count, TaskSpikes& task_spikes) const {
    if (!guard) return evaluate_part({scales.kind, along}, first, count, task_spikes);
    for (std::size_t start = 0; start < count; start += kWatched) {
      const std::size_t size = std::min(kWatched, count - start);
      const Scale scale{scales.kind, {along.values + along.stride * start, along.stride}};
      evaluate_part(scale, first + start, size, task_spikes);
      kernels().watch(*guard, scale, x.values + first + start, size);
    }
  }

  void evaluate_part(const Scale& scale, std::size_t first, std::size_t count, TaskSpikes& task_spikes) const {
    kernels().evaluate(neuron, scale, x.values + first, y + first, count, task_spikes.counter());
  }
};

}  // namespace

MbeNeuronOp::MbeNeuronOp(const Signature& signature, const KernelInfo& info, bool guarded)
    : node_(signature, info), neuron_(node_, info, 1, {node_.odd(info)}), scales_(node_, info, neuron_.next_input()) {
  if (guarded) range_.emplace(node_, info, scales_.next_input());
}

void MbeNeuronOp::compute(const KernelContext& context) const {
  Parameter<NeuronReader>::Local local_neuron;
  Parameter<ScaleReader>::Local local_scales;
  const Tensor x = node_.input(context, 0);
  const Neuron& neuron = neuron_.value(context, local_neuron);
  const Scales& scales = scales_.value(context, local_scales);
  node_.require_broadcast(scales_.first_input(), scales.tensor.shape, x.shape);

  float* const y = node_.result(context, x.shape);
  RunSpikes spikes(range_ ? nullptr : node_.spikes(context, 1, neuron), neuron);
  const RunGuard guard(node_, context, range_);
  if (x.elements == 0) return;

  const Run run{context, neuron, scales, x, y, spikes, guard.get()};
  if (scales.tensor.elements == 1 || scales.kind == Rescaling::kNone) return run.evaluate_flat();
  const Runs runs(scales.tensor.shape, x.shape);
  if (runs.length() < kShortRun) return run.evaluate_short_runs(runs);
  run.evaluate_runs(runs);
}

}  // namespace onnx_snn
