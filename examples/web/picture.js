// SPDX-License-Identifier: Apache-2.0
// Images of the user: chosen, dropped, pasted, or one after the other from the webcam. They are brought to the size
// that the network takes, as preprocessor_config.json says.

const element = (id) => document.getElementById(id);

// { width, height, crop }: the size that pixels are scaled to, or the largest part of it that is cut out of the middle.
function sizeOf({ do_resize: resized = true, size = {}, do_center_crop: cropped, crop_size: crop }, source) {
  const edge = size.shortest_edge ?? (typeof size === "number" ? size : undefined);
  const shortest = Math.min(source.width, source.height);
  const scaled = edge
    ? { width: Math.round((source.width * edge) / shortest), height: Math.round((source.height * edge) / shortest) }
    : size;
  const whole = resized ? scaled : source;
  return { whole, part: cropped ? (crop.width ? crop : { width: crop, height: crop }) : whole };
}

/** Pixels { pixels, width, height } of an image, a video or a canvas; `canvas` shows them. */
export function pixelsOf(source, width, height, processor, canvas) {
  const { whole, part } = sizeOf(processor, { width, height });
  if (canvas.width !== part.width || canvas.height !== part.height) Object.assign(canvas, part);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, part.width, part.height);
  const [left, top] = [(part.width - whole.width) / 2, (part.height - whole.height) / 2].map(Math.round);
  context.drawImage(source, left, top, whole.width, whole.height);
  const { data } = context.getImageData(0, 0, part.width, part.height);
  return { pixels: data, ...part };
}

/** Calls `use` with every image that the user gives, as an ImageBitmap, and `fail` with what is no image. */
export function watchPictures(use, fail) {
  const drop = element("drop");
  async function open(file) {
    try {
      const bitmap = await createImageBitmap(file);
      const shown = element("shown");
      URL.revokeObjectURL(shown.src);
      shown.src = URL.createObjectURL(file);
      shown.hidden = false;
      element("invitation").hidden = true;
      use(bitmap);
    } catch {
      fail(`${file.name || "What was pasted"} is no image that this browser can read.`);
    }
  }
  const imageIn = (transfer) => [...(transfer?.files ?? [])][0];
  element("file").addEventListener("change", ({ target }) => {
    if (target.files.length) open(target.files[0]);
    target.value = "";
  });
  drop.addEventListener("dragover", (event) => event.preventDefault());
  for (const [name, over] of [
    ["dragenter", true],
    ["dragleave", false],
    ["drop", false],
  ]) {
    drop.addEventListener(name, () => drop.classList.toggle("over", over));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (imageIn(event.dataTransfer)) open(imageIn(event.dataTransfer));
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    if (imageIn(clipboardData)) open(imageIn(clipboardData));
  });
}

/** The webcam, off until it is started. */
export class Camera {
  #video = element("video");
  #stream;

  get running() {
    return Boolean(this.#stream);
  }

  /** The frame that is seen, and its size. */
  get frame() {
    return [this.#video, this.#video.videoWidth, this.#video.videoHeight];
  }

  async start() {
    this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640 } });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    this.#show();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
    this.#show();
  }

  #show() {
    this.#video.hidden = !this.running;
    element("shown").hidden = this.running || !element("shown").src;
    element("invitation").hidden = this.running || Boolean(element("shown").src);
    element("camera").textContent = this.running ? "Stop the webcam" : "Use the webcam";
    element("camera").setAttribute("aria-pressed", this.running);
  }
}
