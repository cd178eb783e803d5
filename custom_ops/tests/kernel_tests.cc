// SPDX-License-Identifier: Apache-2.0
// Runs all tests with the kernels that ONNX_SNN_ISA names.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simd/dispatch.h"
#include "tests.h"

using namespace onnx_snn;

int main() {
  const char* const wanted = std::getenv("ONNX_SNN_ISA");
  if (wanted != nullptr && std::strcmp(wanted, kernels().name) != 0) {
    std::printf("this processor has no %s\n", wanted);
    return 77;  // skipped, says CMakeLists.txt
  }
  test_paths();
  test_older_onnxruntime();
  test_two_onnxruntimes();
  test_declarations();
  test_shape_inference();
  test_messages();
  test_left_out_outputs();
  test_answers();
  test_every_length();
  test_many_elements();
  test_broken_nodes();
  test_threads();
  std::printf("all passed with the %s kernels\n", kernels().name);
}
