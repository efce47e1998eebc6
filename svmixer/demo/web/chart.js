// The scores of the last windows over time, a line for each of the enrolled.

import { place } from "./scale.js";

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
    this._points = []; // {seconds, scores: Map of name → cosine}
    this._svg.replaceChildren();
    this._svg.toggleAttribute("hidden", true);
  }

  /**
   * The scores of one more window.
   * @param {number} seconds at which it ends
   * @param {{name: string, score: number}[]} ranking
   * @param {number|null} threshold
   * @param {string} first whose line is drawn in colour
   */
  add(seconds, ranking, threshold, first) {
    this._points.push({ seconds, scores: new Map(ranking.map(({ name, score }) => [name, score])) });
    this._points = this._points.filter((point) => point.seconds >= seconds - SECONDS);
    const x = (at) => WIDTH * (1 - (Math.max(seconds, SECONDS) - at) / SECONDS);
    const y = (score) => HEIGHT * (1 - place(score));
    const names = ranking.map(({ name }) => name).filter((name) => name !== first);
    this._svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this._svg.replaceChildren(
      line("zero", [[0, y(0)], [WIDTH, y(0)]]),
      ...(threshold === null ? [] : [line("threshold", [[0, y(threshold)], [WIDTH, y(threshold)]])]),
      ...[...names, first].map((name) => {
        const known = this._points.filter(({ scores }) => scores.has(name));
        const path = known.map((point) => [x(point.seconds), y(point.scores.get(name))]);
        return line(name === first ? "first" : "other", path);
      }),
    );
    this._svg.toggleAttribute("hidden", false);
    this._svg.setAttribute("aria-label", this._words(first, threshold));
  }

  _words(first, threshold) {
    const known = this._points.filter(({ scores }) => scores.has(first));
    const scores = known.map((point) => point.scores.get(first));
    const range = `${Math.min(...scores).toFixed(2)} to ${Math.max(...scores).toFixed(2)}`;
    const mark = threshold === null ? "" : `, threshold ${threshold.toFixed(2)}`;
    return `Scores of ${first} over the last ${scores.length} windows: ${range}${mark}`;
  }
}

function line(kind, points) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  element.setAttribute("class", kind);
  element.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  return element;
}
