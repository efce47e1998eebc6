// Enrolment of a speaker from recordings, and the decision whether another one is of that speaker; as
// svmixer/inference/verification.py.

import { dot, unitLength, unitVector } from "./vectors.js";

// Cosines nearer to the threshold than this change sides with the next recording of the same two people.
export const CLOSE = 0.05;

/**
 * One embedding of unit length for a speaker, from those of several recordings.
 * @param {ArrayLike<number>[]} embeddings
 * @returns {Float32Array}
 * @throws {RangeError} no embeddings, of different sizes, zero or not finite
 */
export function enrol(embeddings) {
  if (!embeddings.length) throw new RangeError("a speaker is enrolled from one recording at least");
  embeddings.forEach((embedding) => checkSizes(embeddings[0], embedding));
  const mean = new Float64Array(embeddings[0].length);
  for (const embedding of embeddings) {
    unitVector(embedding).forEach((value, n) => (mean[n] += value / embeddings.length));
  }
  return unitLength(mean);
}

/**
 * What a score means for a model: the one place where it becomes a decision, in this module and in the page.
 * @param {number} score cosine
 * @param {{description: object}} model its `description` is what export.json says
 * @param {number|null} threshold cosine from which on it is one speaker; left out: the model's own
 * @returns {{score: number, threshold: number|null, same: boolean|null, doubts: string[]}} `same` is null
 *   where the model has no threshold and none is given
 * @throws {RangeError} a threshold that is no cosine
 */
export function decision(score, model, threshold = model.description.threshold?.cosine ?? null) {
  if (threshold === null) return { score, threshold, same: null, doubts: [] };
  if (!(threshold >= -1 && threshold <= 1)) {
    throw new RangeError(`threshold: a cosine from -1 to 1, found ${threshold}`);
  }
  const distance = Math.abs(score - threshold);
  const doubts = distance < CLOSE ? [`${distance.toFixed(4)} from the threshold`] : [];
  return { score, threshold, same: score >= threshold, doubts };
}

/**
 * Compare an enrolled speaker with the embedding of another recording.
 * @param {ArrayLike<number>} enrolled from `enrol`, or one recording's embedding
 * @param {ArrayLike<number>} embedding of the other recording
 * @param {{description: object}} model see `decision`
 * @param {{threshold?: number, doubts?: string[]}} options doubts: what is known against the recordings
 * @returns {{score: number, threshold: number|null, same: boolean|null, doubts: string[]}}
 * @throws {RangeError} embeddings of different sizes, zero or not finite
 */
export function verify(enrolled, embedding, model, { threshold, doubts = [] } = {}) {
  const verdict = decision(cosine(enrolled, embedding), model, threshold);
  return { ...verdict, doubts: [...doubts, ...verdict.doubts] };
}

/**
 * Who of the enrolled it is, if anybody: open-set identification.
 * @param {{name: string, embedding: ArrayLike<number>}[]} people enrolled
 * @param {ArrayLike<number>} embedding of a recording
 * @param {{description: object}} model see `decision`
 * @param {number} [threshold] see `decision`
 * @returns {{best: string|null, ranking: object[]}} every verdict with its name, the highest score first;
 *   `best` is the first one's name if that is one speaker
 */
export function rank(people, embedding, model, threshold) {
  const ranking = people
    .map((person) => ({ name: person.name, ...verify(person.embedding, embedding, model, { threshold }) }))
    .sort((one, two) => two.score - one.score);
  return { best: ranking[0]?.same ? ranking[0].name : null, ranking };
}

function cosine(one, two) {
  checkSizes(one, two);
  return Math.min(1, Math.max(-1, dot(unitVector(one), unitVector(two))));
}

function checkSizes(one, two) {
  if (one.length !== two.length) {
    throw new RangeError(`embeddings of different sizes: ${one.length} and ${two.length}`);
  }
}
