# SPDX-License-Identifier: Apache-2.0
"""Samples for networks from packages: pages and lines of text, photographs, clips of sound, and words.

Texts are lines of this repository, drawn with the font that Pillow carries; photographs are the test images in
models/, enlarged; sounds are voiced syllables with formants, tones and noise. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parent.parent

FORMANTS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""First three formants of five vowels in Hz (Peterson and Barney, 1952)."""

ARABIC = (
    "بسم الله الرحمن الرحيم",
    "ذهب الولد إلى المدرسة في الصباح",
    "كتب الطالب الدرس على السبورة",
    "الكتاب على الطاولة والقلم في الحقيبة",
    "يحب الناس الحرية والسلام",
    "شرب الرجل الماء البارد بعد العمل",
    "السماء زرقاء والشمس مشرقة اليوم",
    "قرأت قصة جميلة عن البحر",
    "سافر المهندس إلى القاهرة أمس",
    "تعلم اللغة العربية سهل وممتع",
    "في البيت حديقة كبيرة فيها أشجار",
    "العلم نور والجهل ظلام",
)
ARABIC_NAMES = ("زكتوريان", "محمودوف", "قنطراوي", "بوشناقة", "العتيبيني", "غريباوي", "صفروشان", "خليفاتي", "طرابلسيان")
RUSSIAN = (
    "подорожник водопровод переписывать бессмысленный самолёт учительница",
    "неразрешимость пароходство домик предвидеть перестройка лесистый",
    "нейросетями расшифровывается однокурсники безоблачный морозильник",
)


def text_lines(count: int) -> list[str]:
    """Lines of this repository's documents that hold 12 to 60 characters."""
    found = [line.strip() for name in ("README.md", "ARCHITECTURE.md") for line in (ROOT / name).open()]
    lines = [line for line in found if 12 <= len(line) <= 60 and line.isascii()]
    return [lines[index * len(lines) // count] for index in range(count)]


def source_files(count: int) -> list[Path]:
    """Files of this repository of as many kinds as it has, the kinds in turns."""
    kinds: dict[str, list[Path]] = {}
    for folder in ("onnx_snn", "custom_ops", "docs", "benchmarks", "models", "."):
        for path in sorted((ROOT / folder).glob("*" if folder == "." else "**/*")):
            if path.is_file() and 100 < path.stat().st_size < 1 << 22:
                kinds.setdefault(path.suffix, []).append(path)
    turns = [paths[turn] for turn in range(count) for paths in kinds.values() if turn < len(paths)]
    return turns[:count]


def drawn_line(text: str, size: int, generator: np.random.Generator) -> Image.Image:
    """One line of text, dark on light, with a little noise."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    paper, ink = int(generator.integers(200, 256)), int(generator.integers(0, 80))
    image = Image.new("RGB", (int(right - left) + size, int(bottom - top) + size), (paper, paper, paper))
    ImageDraw.Draw(image).text((size // 2 - left, size // 2 - top), text, fill=(ink, ink, ink), font=font)
    noisy = np.asarray(image, np.float64) + generator.normal(0, 4, (image.height, image.width, 1))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def pages(count: int, width: int = 480, height: int = 320) -> list[Image.Image]:
    """Pages with lines of text in several sizes, every second one beside a photograph, some turned."""
    generator, lines, photos = np.random.default_rng(0), text_lines(8 * count), photographs(count)
    found = []
    for page in range(count):
        image, top = Image.new("RGB", (width, height), (250, 250, int(generator.integers(220, 250)))), 12
        for line in lines[8 * page : 8 * page + 8]:
            drawn = drawn_line(line, int(generator.integers(14, 26)), generator)
            if top + drawn.height < height:
                image.paste(drawn, (int(generator.integers(4, 24)), top))
            top += drawn.height
        if page % 2:
            image.paste(photos[page].resize((96, 96)), (width - 100, height - 100))
        found.append(image.rotate(90 * (page // 4 % 4), expand=True))
    return found


def photographs(count: int) -> list[Image.Image]:
    """Photographs of CIFAR-10, enlarged to 256 x 256 pixels."""
    pixels = np.load(ROOT / "models" / "cifar10-data" / "test.npz")["pixel_values"][:count]
    span = np.ptp(pixels, axis=(1, 2, 3), keepdims=True)
    grey = (pixels - pixels.min(axis=(1, 2, 3), keepdims=True)) / span * 255
    return [Image.fromarray(array.astype(np.uint8).transpose(1, 2, 0)).resize((256, 256)) for array in grey]


def captchas(count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Five digits or letters each, on strokes of the same ink."""
    generator, found = np.random.default_rng(1), []
    for _ in range(count):
        text = "".join(generator.choice(list("0123456789"), 5))
        image = Image.new("RGB", size, (235, 240, 245))
        draw = ImageDraw.Draw(image)
        for stroke in range(3):
            points = [(float(x), float(y)) for x, y in generator.uniform(0, size, (2, 2))]
            draw.line(points, fill=(40 * stroke, 90, 130), width=1)
        for place, letter in enumerate(text):
            at = (size[0] * (place + 0.2) / 5, size[1] * float(generator.uniform(0.05, 0.3)))
            draw.text(at, letter, fill=(30, 40, int(generator.integers(60, 160))), font=ImageFont.load_default(28))
        found.append(image)
    return found


def speech(seconds: float, rate: int, seed: int) -> NDArray[np.float32]:
    """Voiced syllables [samples] in [-1, 1]: a gliding pitch, formants of vowels, pauses, and noise behind."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = generator.uniform(90, 220) * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time + seed))
    phase, sound = 2 * np.pi * np.cumsum(pitch) / rate, np.zeros_like(time)
    vowels = np.array(FORMANTS)[generator.integers(0, len(FORMANTS), int(seconds * 4) + 1)]
    formants = vowels[(time * 4).astype(int)]
    for harmonic in range(1, 40):
        gain = sum(np.exp(-(((harmonic * pitch - formants[:, each]) / 120) ** 2) / 2) for each in range(3))
        sound += np.where(harmonic * pitch < rate / 2, (gain + 0.05) / harmonic**0.5 * np.sin(harmonic * phase), 0)
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) * (np.sin(2 * np.pi * 0.35 * time + seed) > -0.4)
    noise = generator.normal(0, 10 ** generator.uniform(-3, -1.3), time.shape)
    sound = 0.4 * sound * syllables / max(1e-6, float(np.abs(sound).max())) + noise
    return np.clip(sound, -1, 1).astype(np.float32)


def notes(seconds: float, rate: int, seed: int) -> NDArray[np.float32]:
    """Chords of decaying tones with overtones [samples], a new one every half second."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    sound, age = np.zeros_like(time), time % 0.5
    for _ in range(3):
        keys = generator.integers(40, 80, int(seconds * 2) + 1)[(time * 2).astype(int)]
        tone = 440 * 2 ** ((keys - 69) / 12)
        sound += sum(np.sin(2 * np.pi * order * tone * age) / order**1.5 for order in (1, 2, 3, 4)) * np.exp(-4 * age)
    noise = generator.normal(0, 0.002, time.shape)
    return np.clip(0.15 * sound + noise, -1, 1).astype(np.float32)


def clips(count: int, seconds: float, rate: int) -> Iterator[NDArray[np.float32]]:
    """Speech, every fourth clip notes, every fifth noise only."""
    for seed in range(count):
        if seed % 5 == 4:
            noise: NDArray[Any] = np.random.default_rng(seed).normal(0, 0.05, int(seconds * rate))
            yield noise.astype(np.float32)
        else:
            yield notes(seconds, rate, seed) if seed % 4 == 3 else speech(seconds, rate, seed)
