// SPDX-License-Identifier: Apache-2.0
// Spikes of a metered network: outputs NODE/spikes, NODE/exp2_spikes, ... of int64 [time steps, bases], in the order in
// which the nodes run.

const COUNT = /\/(\w+_)?spikes$/;

/** [{ node, steps }, ...]: spikes of each neuron by time step. */
export function countsOf(outputs) {
  return Object.entries(outputs)
    .filter(([name, { type }]) => type === "int64" && COUNT.test(name))
    .map(([name, { data, dims }]) => {
      const bases = dims[1];
      const steps = Array.from({ length: dims[0] }, (_, step) =>
        data.slice(step * bases, (step + 1) * bases).reduce((sum, count) => sum + Number(count), 0),
      );
      return { node: name.replace(COUNT, (_, role) => (role ? `: ${role.slice(0, -1)}` : "")), steps };
    });
}

export const total = (counts) => counts.reduce((sum, { steps }) => sum + steps.reduce((a, b) => a + b), 0);

// The folders of a name such as /encoder/layer.0/attention/Softmax, up to the first that is numbered.
function layerOf(node) {
  const folders = node
    .replace(/\/code$/, "")
    .split("/")
    .filter(Boolean);
  const name = folders.pop();
  const numbered = folders.findIndex((folder) => /\d$/.test(folder));
  return numbered < 0 ? (folders.at(-1) ?? name) : folders[numbered];
}

/** [{ layer, counts }, ...]: neighbours of one layer together. */
export function byLayer(counts) {
  const layers = [];
  for (const count of counts) {
    const layer = layerOf(count.node);
    if (layers.at(-1)?.layer !== layer) layers.push({ layer, counts: [] });
    layers.at(-1).counts.push(count);
  }
  return layers;
}

/**
 * Draws the first `shown` neurons: a column each, time downwards, the darker the more spikes.
 *
 * @param colours { spike, layer }: of a cell with the most spikes, and of the ground of every other layer.
 */
export function drawRaster(canvas, counts, shown, colours) {
  const scale = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * scale));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const edge = (column) => Math.round((column * width) / counts.length);
  let column = 0;
  context.fillStyle = colours.layer;
  byLayer(counts).forEach((layer, index) => {
    const start = edge(column);
    column += layer.counts.length;
    if (index % 2) context.fillRect(start, 0, edge(column) - start, height);
  });
  const most = Math.max(...counts.flatMap(({ steps }) => steps));
  context.fillStyle = colours.spike;
  counts.slice(0, shown).forEach(({ steps }, index) => {
    const side = height / steps.length;
    steps.forEach((count, step) => {
      if (!count) return;
      context.globalAlpha = 0.15 + 0.85 * Math.sqrt(count / most);
      const [left, right] = [edge(index), edge(index + 1)];
      const gap = right - left > 3 * scale ? scale : 0;
      const top = Math.round(step * side);
      context.fillRect(left, top, right - left - gap, Math.round((step + 1) * side) - top - scale);
    });
  });
  context.globalAlpha = 1;
}
