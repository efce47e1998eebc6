// What the page shows of results: plain elements, text alone from names.

import { likeliness, percent, place } from "./scale.js";
import { together } from "./svmixer/svmixer.js";

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
    ...people.map(({ name, qualities }) => {
      const count = qualities.length === 1 ? "1 recording" : `${qualities.length} recordings`;
      const { seconds } = together(qualities);
      const button = element("button", "quiet", "Delete");
      button.type = "button";
      button.setAttribute("aria-label", `Delete ${name}`);
      button.addEventListener("click", () => onDelete(name));
      const about = element("span", "about", `${count}, ${seconds.toFixed(1)} s of speech`);
      return element("li", "", element("span", "name", name), about, button);
    }),
  );
}

/** How much was heard. */
export function heardOf(seconds, speech) {
  return `${seconds.toFixed(1)} s heard, ${speech.toFixed(1)} s of it speech.`;
}

/** The enrolled, likeliest first: bars from zero, with a mark at the threshold. */
export function showRanking(list, likeliest) {
  list.replaceChildren(
    ...likeliest.map((verdict) => {
      const { name, decision, ratio } = verdict;
      const words = element("span", "visually-hidden", decision ? `, ${decision}` : "");
      const score = element("span", "score", scoreOf(verdict), words);
      const row = element("li", decision === "one speaker" ? "above" : "", element("span", "name", name));
      row.append(barOf(verdict), score);
      if (ratio !== null) row.append(element("span", "about", besideRatio(verdict)));
      return row;
    }),
  );
}

function barOf(verdict) {
  const { ratio, threshold } = verdict;
  const at = (value) => place(value, ratio !== null);
  const bar = element("span", "bar");
  bar.setAttribute("aria-hidden", "true");
  const fill = element("span", "fill");
  fill.style.left = percent(Math.min(at(0), at(likeliness(verdict))));
  fill.style.width = percent(Math.abs(at(likeliness(verdict)) - at(0)));
  bar.append(fill);
  if (threshold !== null) {
    const mark = element("span", "mark");
    mark.style.left = percent(at(threshold));
    bar.append(mark);
  }
  return bar;
}

/** The log-likelihood ratio, or without one the cosine. */
const scoreOf = ({ ratio, score }) => (ratio === null ? score.toFixed(4) : ratio.toFixed(2));

const besideRatio = ({ probability, score }) =>
  `probability ${probability.toFixed(3)}, cosine ${score.toFixed(4)}`;

/** The verdict in words. */
export function verdictOf({ decision, likeliest }) {
  if (!likeliest.length) return "Nobody is enrolled yet.";
  const [{ name, doubts, decision: own }] = likeliest;
  if (decision === "uncertain") return `Uncertain (${doubts.join("; ")}). Nearest: ${name}`;
  if (decision === null) return `Nearest: ${name}. There is no threshold.`;
  if (decision === "nobody" && likeliest.length > 1) {
    return `Nobody of the ${likeliest.length} enrolled. Nearest: ${name}`;
  }
  return `${name}: ${own}`;
}

/** The figures behind it, of the likeliest; empty if nobody is enrolled. */
export function figuresOf({ likeliest }) {
  if (!likeliest.length) return "";
  const [first] = likeliest;
  const { ratio, threshold } = first;
  if (ratio === null) {
    return `Cosine ${scoreOf(first)}${threshold === null ? "" : `, threshold ${threshold.toFixed(4)}`}`;
  }
  const count = likeliest.length > 1 ? ` for ${likeliest.length} enrolled` : "";
  const limit = `threshold ${threshold.toFixed(2)}${count}`;
  return `Log-likelihood ratio ${scoreOf(first)}, ${limit}, ${besideRatio(first)}`;
}

/** What a chart of the last windows shows: who they sound like most, and whose line is in colour. */
export function captionOf([last], first) {
  const kind = last.ratio === null ? "cosine" : "log-likelihood ratio";
  const now = `Last three seconds: ${last.name}, ${kind} ${scoreOf(last)}.`;
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
