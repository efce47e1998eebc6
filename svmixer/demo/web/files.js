// Audio files by choosing or dropping.

import { decode } from "./audio_file.js";

/**
 * Call `onFiles` with the files that somebody chooses or drops.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} area that files may be dropped on
 * @param {(files: File[]) => void} onFiles
 */
export function onFiles(input, area, onFiles) {
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = "";
  });
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.toggle("target", !input.disabled);
  });
  area.addEventListener("dragleave", () => area.classList.remove("target"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("target");
    if (!input.disabled) onFiles([...event.dataTransfer.files]);
  });
}

/**
 * What the model hears in a file; see `Model.hear`.
 * @param {Engine} engine
 * @param {File} file
 * @throws {Error} nothing that can be decoded or used
 */
export async function hearFile(engine, file) {
  const { channels, rate } = await decode(file);
  const heard = await engine.call("hear", { channels, rate }, [], channels[0].length / rate);
  // For whoever tests the page, or builds on it.
  document.dispatchEvent(new CustomEvent("heard", { detail: { name: file.name, ...heard } }));
  return heard;
}
