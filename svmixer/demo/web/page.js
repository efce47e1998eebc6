// The page: loads the model, joins its parts.

import { setUpCompare } from "./compare.js";
import { setUpCriterion } from "./criterion.js";
import { Engine } from "./engine.js";
import { setUpEnrol } from "./enrol.js";
import { People } from "./people.js";
import { readCalibration } from "./svmixer/svmixer.js";

const CONTROLS = [
  "enrol-record", "enrol-files", "listen", "compare-file", "keep", "operating-point", "threshold",
  "threshold-reset",
];
const DIRECTORY = "model/";
const MICROPHONE = ["enrol-record", "listen"];
const FILES = ["enrol-files", "compare-file"];

const find = (id) => document.getElementById(id);

async function start() {
  const answer = await fetch("site.json");
  if (!answer.ok) throw new Error(`site.json: ${answer.status} ${answer.statusText}`);
  const site = await answer.json();
  const engine = new Engine();
  const { description, precision } = await engine.call("load", { directory: DIRECTORY });
  const model = {
    calibration: site.calibrated ? await calibrationOf(description) : null,
    threshold: description.threshold?.cosine ?? null,
  };
  const people = new People(site.sha256);
  // Where the browser keeps nothing, as in private windows, the page works without.
  await people.restore().catch(() => {});

  // What the parts of the page share.
  const listeners = [];
  const app = {
    engine,
    description, // what export.json says
    model, // what it says of scores
    people,
    /** What decides, as options of `identify`. */
    criterion: setUpCriterion(model, () => app.changed()),
    /** Call `listener` when people or criterion have changed. */
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

/** @throws {Error} it is damaged or missing: the page does not decide by something else then */
async function calibrationOf(description) {
  const found = await readCalibration(DIRECTORY, description.embedding);
  if (!found) throw new Error("calibration.json is missing");
  return found;
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
