// SPDX-License-Identifier: Apache-2.0
// Classify images with a spiking network through the C++ API of ONNX Runtime. With a release of ONNX Runtime
// unpacked in $ORT:
//
//     c++ -std=c++17 main.cpp -I$ORT/include -L$ORT/lib -lonnxruntime -Wl,-rpath,$ORT/lib -o classify
//     ./classify vit-snn.onnx images.bin [LIBRARY]
//
// images.bin: normalized float32 images, one after the other; ../README.md says how to make it. LIBRARY: the kernels of
// onnx-snn, without which the functions in the file run.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

namespace {

constexpr std::int64_t kChannels = 3, kHeight = 32, kWidth = 32;

std::vector<float> read_floats(const std::filesystem::path& path) {
  std::vector<float> values(std::filesystem::file_size(path) / sizeof(float));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

void classify(Ort::Session& session, std::vector<float> pixels) {
  const auto count = static_cast<std::int64_t>(pixels.size()) / (kChannels * kHeight * kWidth);
  const std::array<std::int64_t, 4> shape{count, kChannels, kHeight, kWidth};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value input =
      Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());

  const char* input_names[] = {"pixel_values"};
  const char* output_names[] = {"logits"};
  const auto outputs = session.Run(Ort::RunOptions{nullptr}, input_names, &input, 1, output_names, 1);

  const auto classes = outputs[0].GetTensorTypeAndShapeInfo().GetShape()[1];
  const float* row = outputs[0].GetTensorData<float>();
  std::cout << "classes:";
  for (std::int64_t image = 0; image < count; ++image, row += classes) {
    std::cout << ' ' << std::max_element(row, row + classes) - row;
  }
  std::cout << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: classify MODEL IMAGES [LIBRARY]\n";
    return 2;
  }
  const std::filesystem::path model = argv[1], images = argv[2];
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "classify");
  Ort::SessionOptions options;
  if (argc == 4) options.RegisterCustomOpsLibrary(std::filesystem::path(argv[3]).c_str());
  Ort::Session session(env, model.c_str(), options);
  classify(session, read_floats(images));
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
