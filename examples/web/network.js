// SPDX-License-Identifier: Apache-2.0
// A network of the server: a worker keeps the sessions of the original and of the spiking file, another one that of the
// metered file, whose counting takes longer than an answer. Sessions are created when they are first used, once.

const THREADS = crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;

/**
 * A worker with sessions. Inputs carry an `id`, which comes back with their answers. While it answers, only the newest
 * of the inputs that come waits.
 */
class Sessions {
  ready = false;
  #worker = new Worker("worker.js", { type: "module" });
  #next;
  #busy = false;
  #heard;

  constructor(settings, heard) {
    this.#heard = heard;
    this.#worker.addEventListener("message", ({ data }) => this.#note(data));
    this.#worker.addEventListener("error", ({ message }) => this.#note({ state: "error", message }));
    this.#worker.postMessage(settings);
  }

  ask(input) {
    this.#next = input;
    this.#go();
  }

  #go() {
    if (!this.ready || this.#busy || !this.#next) return;
    this.#worker.postMessage(this.#next);
    this.#busy = true;
    this.#next = undefined;
  }

  #note(message) {
    this.ready ||= message.state === "ready";
    if (["done", "error"].includes(message.state)) this.#busy = false;
    this.#heard(message);
    this.#go();
  }
}

export class Network {
  /** What is known of each file: { state, loaded, total, since, seconds }. */
  files = { original: { state: "waiting" }, spiking: { state: "waiting" } };
  processor = undefined;
  failed = false; // sessions could not be created
  #answers;
  #counts;
  #latest = { id: 0 };

  /**
   * @param info { name, image, metered } of networks.json.
   * @param heard called with every message of the workers, after it is noted here.
   */
  constructor(info, index, heard) {
    Object.assign(this, info, { folder: `/networks/${index}`, heard });
  }

  get ready() {
    return Boolean(this.#answers?.ready);
  }

  open() {
    const settings = { folder: this.folder, image: this.image, which: ["original", "spiking"], threads: THREADS };
    this.#answers ??= new Sessions(settings, (message) => this.#note(message));
  }

  /** Ask for the answers to an input: first those of both networks, then the spikes. */
  ask(input) {
    this.#latest = { ...input, id: this.#latest.id + 1 };
    this.#answers.ask(this.#latest);
  }

  /** Whether nothing newer was asked than what a message answers. */
  isLatest = ({ id }) => id === this.#latest.id;

  #note(message) {
    const { state, which } = message;
    if (state === "ready") this.processor = message.processor;
    if (state === "error") this.failed = !this.ready;
    if (which && state !== "answer") this.files[which] = { ...message, since: performance.now() };
    this.heard(this, message);
    if (state === "done" && this.metered) {
      const settings = { folder: this.folder, image: this.image, which: ["metered"], threads: 1 };
      this.#counts ??= new Sessions(settings, (counted) => {
        if (["answer", "error"].includes(counted.state)) this.heard(this, counted);
      });
      this.#counts.ask(this.#latest);
    }
  }
}
