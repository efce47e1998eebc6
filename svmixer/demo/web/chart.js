// The scores of the last windows over time, a line for each of the enrolled.

import { likeliness, place } from "./scale.js";

const SECONDS = 30; // that are seen at once
const WIDTH = 600;
const HEIGHT = 160;

export class Chart {
  /** @param {SVGElement} svg that is drawn into */
  constructor(svg) {
    this._svg = svg;
    this.clear();
  }

  clear() {
    this._points = []; // {seconds, scores: Map of name → score}
    this._isRatio = null; // whether they are log-likelihood ratios
    this._svg.replaceChildren();
    this._svg.toggleAttribute("hidden", true);
  }

  /**
   * The scores of one more window.
   * @param {number} seconds at which it ends
   * @param {object[]} likeliest verdicts of the window, see `identify`
   * @param {object} first verdict of all that was heard, whose line is drawn in colour
   */
  add(seconds, likeliest, first) {
    const isRatio = first.ratio !== null;
    if (isRatio !== this._isRatio) this.clear();
    this._isRatio = isRatio;
    const scores = new Map(likeliest.map((verdict) => [verdict.name, likeliness(verdict)]));
    this._points.push({ seconds, scores });
    this._points = this._points.filter((point) => point.seconds >= seconds - SECONDS);
    const x = (at) => WIDTH * (1 - (Math.max(seconds, SECONDS) - at) / SECONDS);
    const y = (score) => HEIGHT * (1 - place(score, isRatio));
    const level = (kind, score) => line(kind, [[0, y(score)], [WIDTH, y(score)]]);
    const names = [...scores.keys()].filter((name) => name !== first.name);
    this._svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this._svg.replaceChildren(
      level("zero", 0),
      ...(first.threshold === null ? [] : [level("threshold", first.threshold)]),
      ...[...names, first.name].map((name) => {
        const known = this._points.filter((point) => point.scores.has(name));
        const path = known.map((point) => [x(point.seconds), y(point.scores.get(name))]);
        return line(name === first.name ? "first" : "other", path);
      }),
    );
    this._svg.toggleAttribute("hidden", false);
    this._svg.setAttribute("aria-label", this._words(first));
  }

  _words({ name, threshold }) {
    const known = this._points.filter(({ scores }) => scores.has(name));
    const scores = known.map((point) => point.scores.get(name));
    const range = `${Math.min(...scores).toFixed(2)} to ${Math.max(...scores).toFixed(2)}`;
    const mark = threshold === null ? "" : `, threshold ${threshold.toFixed(2)}`;
    return `Scores of ${name} over the last ${scores.length} windows: ${range}${mark}`;
  }
}

function line(kind, points) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  element.setAttribute("class", kind);
  element.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  return element;
}
