// SPDX-License-Identifier: Apache-2.0
// All tests; each ends the process with a message where it fails.
#pragma once

namespace onnx_snn {

// path_tests.cc
void test_paths();

// registration_tests.cc
void test_older_onnxruntime();
void test_two_onnxruntimes();
void test_declarations();
void test_shape_inference();

// message_tests.cc
void test_messages();

// answer_tests.cc
void test_left_out_outputs();
void test_answers();
void test_every_length();
void test_many_elements();

// broken_node_tests.cc
void test_broken_nodes();

// thread_tests.cc
void test_threads();

}  // namespace onnx_snn
