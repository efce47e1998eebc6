// The page: loads the model, joins its parts.

import { setUpCompare } from "./compare.js";
import { Engine } from "./engine.js";
import { setUpEnrol } from "./enrol.js";
import { People } from "./people.js";
import { decision } from "./svmixer/svmixer.js";

const CONTROLS = [
  "enrol-record", "enrol-files", "listen", "compare-file", "keep", "threshold", "threshold-reset",
];
const MICROPHONE = ["enrol-record", "listen"];
const FILES = ["enrol-files", "compare-file"];

const find = (id) => document.getElementById(id);

async function start() {
  const answer = await fetch("site.json");
  if (!answer.ok) throw new Error(`site.json: ${answer.status} ${answer.statusText}`);
  const site = await answer.json();
  const engine = new Engine();
  const { description, precision } = await engine.call("load", { directory: "model/" });
  const people = new People(site.sha256);
  // Where the browser keeps nothing, as in private windows, the page works without.
  await people.restore().catch(() => {});

  // What the parts of the page share.
  const listeners = [];
  const app = {
    engine,
    description, // what export.json says
    people,
    threshold: setUpThreshold(description, () => app.changed()),
    /** Call `listener` when people or threshold have changed. */
    onChange: (listener) => listeners.push(listener),
    changed: () => listeners.forEach((listener) => listener()),
    /** One part of the page uses the microphone: the other one waits. */
    listening: (busy) => {
      const idle = MICROPHONE.filter((id) => !find(id).classList.contains("active"));
      [...idle, ...FILES].forEach((id) => (find(id).disabled = busy));
    },
  };
  setUpEnrol(app);
  setUpCompare(app);
  setUpFigures(site, precision, engine);
  CONTROLS.forEach((id) => (find(id).disabled = false));
  find("loading").textContent = "";
  app.changed();
}

/** The threshold in force, as a function; undefined is the model's own. */
function setUpThreshold(description, changed) {
  const input = find("threshold");
  const own = decision(0, { description }).threshold;
  const shown = own === null ? "" : own.toFixed(4);
  const read = () => {
    const usable = input.value !== "" && input.checkValidity();
    input.setAttribute("aria-invalid", `${input.value !== "" && !usable}`);
    // The input shows four digits of the model's own.
    return usable && input.value !== shown ? Number(input.value) : undefined;
  };
  input.step = "any";
  input.value = shown;
  input.addEventListener("input", changed);
  find("threshold-reset").addEventListener("click", () => {
    input.value = shown;
    changed();
  });
  return read;
}

/** What the model is, and what it costs. */
function setUpFigures(site, precision, engine) {
  find("model-name").textContent = `${site.name}, ${precision}, ${(site.bytes / 1e6).toFixed(1)} MB`;
  const show = () => {
    const factor = engine.realTimeFactor;
    if (factor !== null) {
      const audio = `${engine.workSeconds.toFixed(2)} s for ${engine.audioSeconds.toFixed(1)} s of audio`;
      find("speed").textContent = `${factor.toFixed(3)} (${audio})`;
    }
    find("memory").textContent = `${(engine.memory / 1e6).toFixed(0)} MB`;
  };
  show();
  setInterval(show, 1000);
}

// A file that misses the places for files is not opened in place of the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

start().catch((error) => {
  find("loading").textContent = `The model cannot be loaded: ${error.message}`;
  find("loading").classList.add("error");
});
