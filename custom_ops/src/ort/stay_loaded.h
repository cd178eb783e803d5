// SPDX-License-Identifier: Apache-2.0
// Keeps this library in the process. onnxruntime unloads it with the options that registered it, and what its C++
// runtime allocates when it is loaded would be allocated again each time. Elsewhere than on Windows the linker says so
// (nodelete).
#pragma once

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

namespace onnx_snn {

// `address` is one of this library.
inline void stay_loaded([[maybe_unused]] const void* address) {
#if defined(_WIN32)
  HMODULE self = nullptr;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     static_cast<const char*>(address), &self);
#endif
}

}  // namespace onnx_snn
