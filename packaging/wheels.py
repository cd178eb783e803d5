# SPDX-License-Identifier: Apache-2.0
"""Builds the source distribution and, from it, a wheel for each platform, and checks what is in them.

    python packaging/wheels.py --output dist [--platform PLATFORM ...]

The kernels of all platforms are compiled on this machine by one toolchain, `packaging/zig.cmake`. A wheel is refused
that has no library, or a library that needs more of the system than its platform tag says. `auditwheel show` is printed
of wheels for Linux.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLCHAIN = ROOT / "packaging" / "zig.cmake"
ZIG = f"{sys.executable};-m;ziglang"


@dataclass(frozen=True)
class Platform:
    """A platform that wheels are built for.

    Attributes:
        tag: its tag in the name of a wheel.
        target: what Zig calls it, with the version of the C library.
        library: file name of the library in the package.
    """

    tag: str
    target: str
    library: str


PLATFORMS = {
    platform.tag: platform
    for platform in (
        Platform("manylinux_2_28_x86_64", "x86_64-linux-gnu.2.28", "libonnx_snn_ops.so"),
        Platform("manylinux_2_28_aarch64", "aarch64-linux-gnu.2.28", "libonnx_snn_ops.so"),
        Platform("win_amd64", "x86_64-windows-gnu", "onnx_snn_ops.dll"),
    )
}


def run(*command: str | Path) -> str:
    """Standard output of a command; what it says is printed where it fails."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def source_distribution(output: Path) -> Path:
    """Build the source distribution into `output`."""
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", output, ROOT)
    return max(output.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)


def wheel_of(source: Path, platform: Platform, output: Path) -> Path:
    """Build the wheel of `platform` from a source distribution, and move it to `output`."""
    defines = {"CMAKE_TOOLCHAIN_FILE": TOOLCHAIN, "ONNX_SNN_ZIG": ZIG, "ONNX_SNN_TARGET": platform.target}
    settings = [f"--config-settings=cmake.define.{name}={value}" for name, value in defines.items()]
    with tempfile.TemporaryDirectory() as folder:
        run(
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder),
            *("--config-settings=install.strip=false", *settings, source),  # strip knows this machine's files alone
        )
        [built] = Path(folder).glob("*.whl")
        run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", platform.tag, built)
        [tagged] = Path(folder).glob("*.whl")
        return Path(shutil.move(tagged, output / tagged.name))


def check(wheel: Path, platform: Platform) -> None:
    """Refuse a wheel without its library, or whose library needs more than its platform promises."""
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith((".so", ".dll", ".dylib"))]
    if libraries != [f"onnx_snn/{platform.library}"]:
        sys.exit(f"{wheel.name} holds the libraries {libraries}; expected {platform.library}: the compilation failed")
    if not platform.tag.startswith("manylinux"):
        return
    audit = (sys.executable, "-m", "auditwheel", "show", "--disable-isa-ext-check")
    print(run(*audit, wheel))
    found = json.loads(run(*audit, "--json", wheel))["overall_tag"]
    if version(found) > version(platform.tag):
        sys.exit(f"{wheel.name} is {found}; expected {platform.tag} or an older one")


def version(tag: str) -> tuple[int, ...]:
    """Version of the C library in a tag such as "manylinux_2_28_x86_64"; later than all for another tag."""
    match = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    return tuple(map(int, match.groups())) if match else (sys.maxsize,)


def main() -> None:
    """Build what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder to write (default: dist)")
    parser.add_argument("--platform", nargs="+", choices=PLATFORMS, default=list(PLATFORMS), help="all by default")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    source = source_distribution(options.output)
    print(source.name)
    for tag in options.platform:
        wheel = wheel_of(source, PLATFORMS[tag], options.output)
        check(wheel, PLATFORMS[tag])
        print(f"{wheel.name} {wheel.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
