// What the page shows of results: plain elements, text alone from names.

import { percent, place } from "./scale.js";

/** An element with a class and children, which are elements or text. */
export function element(tag, kind, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

/** The enrolled, each with a button that forgets them. */
export function showPeople(list, people, onDelete) {
  list.replaceChildren(
    ...people.map(({ name, recordings, speech }) => {
      const count = recordings === 1 ? "1 recording" : `${recordings} recordings`;
      const button = element("button", "quiet", "Delete");
      button.type = "button";
      button.setAttribute("aria-label", `Delete ${name}`);
      button.addEventListener("click", () => onDelete(name));
      const about = element("span", "about", `${count}, ${speech.toFixed(1)} s of speech`);
      return element("li", "", element("span", "name", name), about, button);
    }),
  );
}

/** How much was heard. */
export function heardOf(seconds, speech) {
  return `${seconds.toFixed(1)} s heard, ${speech.toFixed(1)} s of it speech.`;
}

/** The enrolled by score: bars from zero, with a mark at the threshold. */
export function showRanking(list, ranking) {
  list.replaceChildren(
    ...ranking.map(({ name, score, same, threshold }) => {
      const bar = element("span", "bar");
      bar.setAttribute("aria-hidden", "true");
      const fill = element("span", "fill");
      fill.style.left = percent(Math.min(place(0), place(score)));
      fill.style.width = percent(Math.abs(place(score) - place(0)));
      bar.append(fill);
      if (threshold !== null) {
        const mark = element("span", "mark");
        mark.style.left = percent(place(threshold));
        bar.append(mark);
      }
      const words = { true: ", above the threshold", false: ", below the threshold", null: "" }[same];
      const figure = element("span", "score", score.toFixed(4), element("span", "visually-hidden", words));
      return element("li", same ? "above" : "", element("span", "name", name), bar, figure);
    }),
  );
}

/** The verdict in words. */
export function verdictOf({ best, ranking }) {
  if (!ranking.length) return "Nobody is enrolled yet.";
  const [{ name, score, threshold }] = ranking;
  if (threshold === null) return `Nearest: ${name}, cosine ${score.toFixed(4)}. There is no threshold.`;
  const figures = `cosine ${score.toFixed(4)}, threshold ${threshold.toFixed(4)}`;
  return best === null ? `Nobody of the enrolled. Nearest: ${name}, ${figures}` : `${name}: ${figures}`;
}

/** What a chart of the last windows shows: who they sound like most, and whose line is in colour. */
export function captionOf([{ name, score }], first) {
  const now = `Last three seconds: ${name}, ${score.toFixed(4)}.`;
  return `${now} The line in colour is ${first}, who leads over all; the dashed one is the threshold.`;
}

/** What speaks against relying on a result. */
export function showNotes(list, notes) {
  list.replaceChildren(...notes.map((note) => element("li", "", `Unsure: ${note}`)));
}

/** A level in dB of full scale as the width of a bar. */
export function showLevel(bar, level) {
  bar.style.width = percent(Math.min(1, Math.max(0, (level + 60) / 60)));
}
