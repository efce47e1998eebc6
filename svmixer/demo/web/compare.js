// The part of the page where a voice is compared with the enrolled.

import { Chart } from "./chart.js";
import { hearFile, onFiles } from "./files.js";
import { RecordButton } from "./record_button.js";
import { identify } from "./svmixer/svmixer.js";
import { captionOf, figuresOf, heardOf, showNotes, showRanking, verdictOf } from "./view.js";

const HOP_SECONDS = 0.5; // from one window to the next while somebody speaks

const find = (id) => document.getElementById(id);

/** @param {object} app see page.js */
export function setUpCompare(app) {
  const chart = new Chart(find("chart"));
  const status = find("compare-status");
  // What was heard last, as `identify` takes it, and whether that is all; null before that.
  let heard = null;

  const say = (words, error = false) => {
    status.textContent = words;
    status.classList.toggle("error", error);
  };
  const against = (test) => identify(app.people.list(), test, app.model, app.criterion());
  const restart = () => {
    heard = null;
    chart.clear();
    find("chart-caption").textContent = "";
    show();
    return true;
  };

  /** The result so far: who leads, with what speaks against it. */
  function show() {
    const result = heard && against(heard);
    const [verdict, figures] = result ? [verdictOf(result), figuresOf(result)] : ["", ""];
    find("verdict").textContent = verdict;
    find("figures").textContent = figures;
    showRanking(find("ranking"), result?.likeliest ?? []);
    // Where it is uncertain, the verdict says why.
    const doubts = result?.decision === "uncertain" ? [] : (result?.likeliest[0]?.doubts ?? []);
    showNotes(find("notes"), doubts);
    announce(heard?.final ? `${verdict} ${figures}`.trim() : result?.name ? `${result.name} leads` : "");
  }

  function onState({ seconds, quality, doubts, embedding, latest }) {
    say(heardOf(seconds, quality.seconds));
    if (!embedding) return;
    heard = { embedding, quality, doubts, final: false };
    show();
    const [first] = against(heard).likeliest;
    if (!latest || !first) return;
    const last = against({ ...heard, embedding: latest }).likeliest;
    chart.add(seconds, last, first);
    find("chart-caption").textContent = captionOf(last, first.name);
  }

  function finish({ seconds, quality, doubts, embedding }) {
    say(heardOf(seconds, quality.seconds));
    heard = { embedding, quality, doubts, final: true };
    show();
  }

  function fail(error) {
    say(`Not compared: ${error.message}`, true);
    announce(status.textContent);
  }

  new RecordButton(app.engine, find("listen"), find("compare-level"), {
    hop: Math.round(HOP_SECONDS * app.description.sample_rate),
    ready: restart,
    onState,
    onResult: finish,
    onError: fail,
    onChange: app.listening,
  });

  onFiles(find("compare-file"), find("compare"), async ([file]) => {
    restart();
    say(`Listening to ${file.name}…`);
    try {
      finish(await hearFile(app.engine, file));
    } catch (error) {
      fail(new Error(`${file.name}: ${error.message}`));
    }
  });

  app.onChange(() => {
    // Of another criterion, or of people who are gone.
    chart.clear();
    find("chart-caption").textContent = "";
    show();
  });
}

/** Words for screen readers, who are told nothing twice. */
function announce(words) {
  if (find("announce").textContent !== words) find("announce").textContent = words;
}
