// SPDX-License-Identifier: Apache-2.0
// The page: what the user gives goes to the network that is chosen, and what comes back is shown.

import { Network } from "./network.js";
import { Camera, pixelsOf, watchPictures } from "./picture.js";
import { byLayer, drawRaster, total } from "./spikes.js";

const WHICH = ["original", "spiking"];
const ROWS = 10; // classes that are shown
const SWEEP = 1600; // milliseconds in which the neurons of a run are shown to fire
const element = (id) => document.getElementById(id);
const integer = new Intl.NumberFormat("en");
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const milliseconds = (time) => `${time < 9.95 ? time.toFixed(1) : Math.round(time)} ms`;
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const camera = new Camera();
const still = matchMedia("(prefers-reduced-motion: reduce)");
let networks, network, picture, sweep;
let answers = {};

const busy = (id, value) => element(id).setAttribute("aria-busy", value);

// --- input ---------------------------------------------------------------------------------------

function ask() {
  if (!network) return;
  if (!network.image) return submit({ text: element("text").value });
  const source = camera.running ? camera.frame : picture && [picture, picture.width, picture.height];
  if (!source || !network.processor) return;
  const input = pixelsOf(...source, network.processor, element("seen"));
  element("seeing").hidden = false;
  element("seen-size").textContent = `What the network sees: ${input.width}\u00a0×\u00a0${input.height}\u00a0pixels`;
  submit(input);
}

function submit(input) {
  busy("answer", true);
  busy("spikes", network.metered && !camera.running);
  network.ask(input);
}

function trouble(message) {
  element("trouble").textContent = message;
  element("trouble").hidden = !message;
}

async function toggleCamera() {
  trouble("");
  try {
    await (camera.running ? camera.stop() : camera.start());
  } catch (error) {
    camera.stop();
    trouble(`The webcam cannot be used: ${error.message}`);
  }
  if (camera.running) ask();
}

function choose(chosen) {
  if (camera.running) camera.stop();
  network = chosen;
  answers = {};
  trouble("");
  element("picture").hidden = !network.image;
  element("writing").hidden = network.image;
  for (const id of ["classes", "spikes"]) element(id).hidden = true;
  element("verdict").textContent = "";
  WHICH.forEach(showState);
  network.open();
  if (network.ready) ask();
}

// --- answers -------------------------------------------------------------------------------------

function showState(which) {
  const { state: known, loaded, total: size, since, seconds } = network.files[which];
  const state = network.failed && known !== "created" ? "failed" : known;
  const progress = element(`progress-${which}`);
  progress.hidden = ["created", "failed"].includes(state);
  if (state === "loading") Object.assign(progress, { max: size, value: loaded });
  else progress.removeAttribute("value");
  if (answers[which]) return;
  element(`label-${which}`).textContent = "\u00a0";
  element(`note-${which}`).textContent = {
    waiting: "waits",
    loading: `${megabytes(loaded)} of ${megabytes(size)} MB`,
    creating: `creates its session, ${((performance.now() - since) / 1000).toFixed(1)} s`,
    failed: "has no session",
    created: `session created in ${seconds?.toFixed(1)} s`,
  }[state];
}

function showAnswer(which) {
  const { classes, milliseconds: time } = answers[which];
  const best = classes.reduce((a, b) => (b.probability > a.probability ? b : a));
  element(`label-${which}`).textContent = best.label;
  element(`note-${which}`).textContent = `${percent(best.probability)} in ${milliseconds(time)}`;
  return best.label;
}

function rowOf(label, cells, shares) {
  const row = document.createElement("tr");
  const header = Object.assign(document.createElement("th"), { scope: "row", textContent: label, title: label });
  const bars = document.createElement("td");
  for (const [kind, share] of Object.entries(shares)) {
    const bar = Object.assign(document.createElement("div"), { className: `bar ${kind}` });
    bar.style.setProperty("--share", share);
    bars.append(bar);
  }
  const numbers = cells.map((text) =>
    Object.assign(document.createElement("td"), { className: "number", textContent: text }),
  );
  row.append(header, bars, ...numbers);
  return row;
}

// Few classes keep their order, so that they stand still; of many the likeliest are shown.
function showClasses() {
  const [original, spiking] = WHICH.map((which) => answers[which].classes);
  const shown = original.map((_, index) => index);
  if (shown.length > ROWS) shown.sort((a, b) => original[b].probability - original[a].probability).splice(ROWS);
  const best = Math.max(...original.map(({ probability }) => probability));
  const rows = shown.map((index) => {
    const [a, b] = [original[index].probability, spiking[index].probability];
    const row = rowOf(original[index].label, [percent(a), percent(b)], { original: a, spiking: b });
    row.classList.toggle("best", a === best);
    return row;
  });
  element("classes").tBodies[0].replaceChildren(...rows);
  element("classes").hidden = false;
  const difference = Math.max(...original.map(({ probability }, i) => Math.abs(probability - spiking[i].probability)));
  const [left, right] = WHICH.map(showAnswer);
  element("verdict").textContent =
    (left === right ? "Both give the same answer" : "The answers differ") +
    `; no probability differs by more than ${Math.max(0.1, 100 * difference).toFixed(1)} percentage points.`;
}

// --- spikes --------------------------------------------------------------------------------------

function showSpikes(animated) {
  const { counts } = answers.metered;
  const layers = byLayer(counts);
  const sums = layers.map((layer) => total(layer.counts));
  const [all, most] = [total(counts), Math.max(...sums)];
  const share = (sum) => (all ? percent(sum / all) : "");
  const rows = layers.map(({ layer }, i) =>
    rowOf(layer, [integer.format(sums[i]), share(sums[i])], { spiking: sums[i] / most }),
  );
  element("layers").tBodies[0].replaceChildren(...rows);
  const style = getComputedStyle(document.body);
  const probe = Object.assign(document.createElement("i"), { hidden: true });
  document.body.append(probe);
  const colour = (name) => ((probe.style.color = `var(--${name})`), getComputedStyle(probe).color);
  const colours = { spike: colour("spiking"), layer: colour("layer") };
  probe.remove();

  const start = performance.now();
  const frame = (now) => {
    const fraction = animated && !still.matches ? Math.min(1, (now - start) / SWEEP) : 1;
    const shown = Math.round(Math.max(0, fraction) * counts.length);
    drawRaster(element("raster"), counts, shown, colours);
    element("total").textContent = integer.format(total(counts.slice(0, shown)));
    let end = 0;
    layers.forEach((layer, index) => {
      rows[index].classList.toggle("waiting", end >= shown);
      end += layer.counts.length;
    });
    element("firing").textContent =
      fraction < 1 && shown
        ? counts[shown - 1].node
        : `${counts.length} populations of neurons fire one after the other; time runs downwards.`;
    if (fraction < 1) sweep = requestAnimationFrame(frame);
  };
  cancelAnimationFrame(sweep);
  frame(start);
}

// --- all together --------------------------------------------------------------------------------

function heard(from, message) {
  if (from !== network) return;
  if (message.state === "error") {
    for (const id of ["answer", "spikes"]) busy(id, false);
    WHICH.forEach(showState);
    return trouble(message.message);
  }
  if (message.state === "answer") {
    answers[message.which] = message;
    if (message.which !== "metered") return camera.running || showAnswer(message.which);
    busy("spikes", !camera.running && !network.isLatest(message));
    return showSpikes(!camera.running);
  }
  if (message.state === "done") {
    showClasses();
    busy("answer", !network.isLatest(message));
    element("spikes").hidden = !network.metered;
    if (network.metered && !answers.metered) element("firing").textContent = "The metered network counts …";
    if (camera.running) requestAnimationFrame(ask);
    return;
  }
  WHICH.forEach(showState);
  if (message.state === "ready") ask();
}

async function start() {
  watchPictures((bitmap) => {
    if (camera.running) camera.stop();
    picture = bitmap;
    trouble("");
    ask();
  }, trouble);
  element("text").addEventListener("input", ask);
  element("camera").addEventListener("click", toggleCamera);
  element("replay").addEventListener("click", () => answers.metered && showSpikes(true));
  const redraw = () => answers.metered && showSpikes(false);
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  setInterval(() => network && (network.ready || network.failed || WHICH.forEach(showState)), 100);
  networks = (await (await fetch("/networks.json")).json()).map((info, index) => new Network(info, index, heard));
  for (const each of networks) {
    const choice = Object.assign(document.createElement("input"), {
      type: "radio",
      name: "network",
      className: "hidden",
    });
    choice.addEventListener("change", () => choose(each));
    const label = document.createElement("label");
    label.append(choice, `${each.image ? "Image" : "Text"}: ${each.name}`);
    element("networks").append(label);
  }
  document.querySelector("#networks input").checked = true;
  choose(networks[0]);
}

start();
