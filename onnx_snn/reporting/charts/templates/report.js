"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const select = document.getElementById("choose");

function draw(element, { data: traces, layout }) {
  Plotly.react(element, traces, layout, options);
}

function choose(number) {
  const chosen = Math.min(Math.max(number, 0), data.neurons.length - 1);
  const neuron = data.neurons[chosen];
  select.value = chosen;
  for (const key of ["fit", "raster"]) {
    document.getElementById(`${key}-title`).textContent = `${neuron[key].title} – ${neuron.title}`;
    document.getElementById(`${key}-caption`).textContent = neuron[key].caption;
    draw(document.getElementById(key), neuron[key]);
  }
  for (const row of document.querySelectorAll("tr[data-neuron]")) {
    row.classList.toggle("chosen", Number(row.dataset.neuron) === chosen);
  }
}

function lookInto(row) {
  choose(Number(row.dataset.neuron));
  document.getElementById("neuron").scrollIntoView();
}

for (const element of document.querySelectorAll("[data-chart]")) {
  draw(element, data.charts[element.dataset.chart]);
}
for (const row of document.querySelectorAll("tr[data-neuron]")) {
  row.addEventListener("click", () => lookInto(row));
  row.addEventListener("keydown", (event) => event.key === "Enter" && lookInto(row));
}
select.addEventListener("change", () => choose(Number(select.value)));
document.getElementById("previous").addEventListener("click", () => choose(Number(select.value) - 1));
document.getElementById("next").addEventListener("click", () => choose(Number(select.value) + 1));

// report.html#neuron=5 shows the sixth neuron first.
const asked = /^#neuron=(\d+)$/.exec(location.hash);
choose(asked ? Number(asked[1]) : data.start);
