#!/bin/sh
# The tests of the kernels, compiled as the wheels are, in QEMU (aarch64) and Wine (Windows): each instruction set that these
# offer. Needs cmake, ninja and the packages of requirements.txt on the path.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)

emulated() {  # target, emulator as a list of CMake
    build="$root/build/emulated-$1"
    cmake -G Ninja -S "$root/custom_ops" -B "$build" -D CMAKE_TOOLCHAIN_FILE="$root/packaging/zig.cmake" \
        -D ONNX_SNN_TARGET="$1" -D ONNX_SNN_TESTS=ON -D CMAKE_CROSSCOMPILING_EMULATOR="$2"
    cmake --build "$build"
    ctest --test-dir "$build" --output-on-failure
}

emulated aarch64-linux-gnu.2.28 "qemu-aarch64;-cpu;cortex-a76;-L;/usr/aarch64-linux-gnu"
export WINEPREFIX="$root/build/wine" WINEDEBUG=-all
emulated x86_64-windows-gnu "${WINE:-/usr/lib/wine/wine64}"
