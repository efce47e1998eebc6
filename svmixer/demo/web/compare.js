// The part of the page where a voice is compared with the enrolled.

import { Chart } from "./chart.js";
import { hearFile, onFiles } from "./files.js";
import { RecordButton } from "./record_button.js";
import { rank } from "./svmixer/svmixer.js";
import { captionOf, heardOf, showNotes, showRanking, verdictOf } from "./view.js";

const HOP_SECONDS = 0.5; // from one window to the next while somebody speaks

const find = (id) => document.getElementById(id);

/** @param {object} app see page.js */
export function setUpCompare(app) {
  const chart = new Chart(find("chart"));
  const status = find("compare-status");
  // What was heard last; null before that.
  let heard = null;

  const say = (words, error = false) => {
    status.textContent = words;
    status.classList.toggle("error", error);
  };
  const against = (embedding) => rank(app.people.list(), embedding, app, app.threshold());
  const restart = () => {
    heard = null;
    chart.clear();
    find("chart-caption").textContent = "";
    show();
    return true;
  };

  /** The result so far: who leads, with what speaks against it. */
  function show() {
    const result = heard && against(heard.embedding);
    const verdict = result ? verdictOf(result) : "";
    find("verdict").textContent = verdict;
    showRanking(find("ranking"), result?.ranking ?? []);
    const first = result?.ranking[0];
    const enrolled = app.people.list().find(({ name }) => name === first?.name);
    showNotes(find("notes"), first ? [...(enrolled?.doubts ?? []), ...heard.doubts, ...first.doubts] : []);
    announce(heard?.final ? verdict : result?.best ? `${result.best} leads` : "");
  }

  function onState({ seconds, speech, doubts, embedding, latest }) {
    say(heardOf(seconds, speech));
    if (!embedding) return;
    heard = { embedding, doubts, final: false };
    show();
    const { ranking } = against(embedding);
    if (!latest || !ranking.length) return;
    const [{ name, threshold }] = ranking;
    const last = against(latest).ranking;
    chart.add(seconds, last, threshold, name);
    find("chart-caption").textContent = captionOf(last, name);
  }

  function finish(result) {
    say(heardOf(result.seconds, result.speech));
    heard = { embedding: result.embedding, doubts: result.doubts, final: true };
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

  app.onChange(show);
}

/** Words for screen readers, who are told nothing twice. */
function announce(words) {
  if (find("announce").textContent !== words) find("announce").textContent = words;
}
