# SPDX-License-Identifier: Apache-2.0
# Toolchain of the released wheels: Clang, libc++ and the headers of one C library for every system, as the package
# `ziglang` has them. ONNX_SNN_TARGET is a target of Zig, such as x86_64-linux-gnu.2.28: the C library may be given with its
# version. ONNX_SNN_ZIG is the command, as a list.
set(ONNX_SNN_ZIG "python;-m;ziglang" CACHE STRING "Command that runs Zig")
set(ONNX_SNN_TARGET "" CACHE STRING "Target of Zig")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ONNX_SNN_ZIG ONNX_SNN_TARGET)

string(REGEX MATCH "^([^-]+)-([^-]+)" _ "${ONNX_SNN_TARGET}")
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
string(REPLACE "linux" "Linux" CMAKE_SYSTEM_NAME "${CMAKE_MATCH_2}")
string(REPLACE "windows" "Windows" CMAKE_SYSTEM_NAME "${CMAKE_SYSTEM_NAME}")

set(CMAKE_CXX_COMPILER ${ONNX_SNN_ZIG} c++ -target ${ONNX_SNN_TARGET})
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)  # without symbols of its own
