// The part of the page where people are enrolled.

import { hearFile, onFiles } from "./files.js";
import { RecordButton } from "./record_button.js";
import { littleSpeech, together } from "./svmixer/svmixer.js";
import { heardOf, showPeople } from "./view.js";

const find = (id) => document.getElementById(id);

/** @param {object} app see page.js */
export function setUpEnrol(app) {
  const name = find("name");
  const status = find("enrol-status");
  // Whom the recording is of: the field may be changed while it is made.
  let recorded = "";
  const say = (words, error = false) => {
    find("enrol-progress").textContent = "";
    status.textContent = words;
    status.classList.toggle("error", error);
  };

  new RecordButton(app.engine, find("enrol-record"), find("enrol-level"), {
    hop: app.description.window,
    ready: () => {
      say("");
      recorded = name.value.trim();
      if (recorded) return true;
      say("Type a name first.", true);
      name.focus();
      return false;
    },
    // Not told to screen readers, several times a second.
    onState: ({ seconds, quality }) => {
      find("enrol-progress").textContent = heardOf(seconds, quality.seconds);
    },
    onResult: async (heard) => {
      await add(recorded, heard);
      if (name.value.trim() === recorded) name.value = "";
    },
    onError: (error) => say(`Not enrolled: ${error.message}`, true),
    onChange: app.listening,
  });

  onFiles(find("enrol-files"), find("enrol"), async (files) => {
    const typed = name.value.trim();
    const failures = [];
    for (const file of files) {
      say(`Listening to ${file.name}…`);
      try {
        await add(typed || file.name.replace(/\.[^.]*$/, ""), await hearFile(app.engine, file));
      } catch (error) {
        failures.push(`${file.name}: ${error.message}`);
      }
    }
    if (failures.length) say(`Not enrolled: ${failures.join("; ")}`, true);
    else name.value = "";
  });

  async function add(who, heard) {
    await app.people.add(who, heard);
    const doubts = [...limitsOf(who, heard.quality), ...heard.doubts];
    const unsure = doubts.length ? ` Unsure: ${doubts.join("; ")}.` : "";
    say(`${who}: ${heard.quality.seconds.toFixed(1)} s of speech enrolled.${unsure}`);
    app.changed();
  }

  /** What the recording lacks; for a calibration all of that person's count together. */
  function limitsOf(who, quality) {
    const { calibration } = app.model;
    if (!calibration) return littleSpeech(quality);
    return calibration.doubts(together(app.people.list().find((person) => person.name === who).qualities));
  }

  setUpList(app, say);
}

function setUpList(app, say) {
  const keep = find("keep");
  const deleteAll = find("delete-all");
  const change = async (action, words) => {
    try {
      await action();
      say(words);
    } catch (error) {
      say(`Not deleted: ${error.message}`, true);
    }
    app.changed();
  };
  const remove = async (who) => {
    await change(() => app.people.remove(who), `${who} is deleted.`);
    find("name").focus();
  };
  deleteAll.addEventListener("click", () => change(() => app.people.clear(), "All are deleted."));
  keep.checked = app.people.kept;
  keep.addEventListener("change", async () => {
    try {
      await app.people.keep(keep.checked);
      say(keep.checked ? "The enrolled are kept in this browser." : "Nothing is kept any more.");
    } catch (error) {
      keep.checked = false;
      say(`This browser keeps nothing: ${error.message}`, true);
    }
    app.changed();
  });
  app.onChange(() => {
    const people = app.people.list();
    showPeople(find("people"), people, remove);
    find("people-none").hidden = people.length > 0;
    // Those of other models may be kept.
    deleteAll.disabled = people.length === 0 && !app.people.kept;
  });
}
