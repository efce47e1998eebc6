// Enrolment of a speaker from recordings, and the decision whether another one is of that speaker; as
// svmixer/inference/verification.py and `svmixer identify`.

import { STANDARD, isTelephone, probability } from "./calibration.js";
import { littleSpeech, together } from "./quality.js";
import { dot, unitLength, unitVector } from "./vectors.js";
import { fixed, general } from "./words.js";

// Cosines nearer to the threshold than this change sides with the next recording of the same two people.
export const CLOSE = 0.05;
const SIDES = ["enrolment", "test"];

/**
 * The outcome of a verification.
 * @typedef {object} Verdict
 * @property {"one speaker"|"two speakers"|"uncertain"|null} decision null where the model has neither a
 *   calibration nor a threshold, and none is given; uncertain: the recordings are unlike those that the model
 *   was calibrated with
 * @property {number} score cosine
 * @property {number|null} threshold for the log-likelihood ratio if there is one, else for the cosine
 * @property {boolean|null} same whether the ratio, or without one the cosine, reaches the threshold
 * @property {string[]} doubts why not to rely on it; none: nothing speaks against it
 * @property {number|null} ratio log-likelihood ratio (natural logarithm); null: decided by the cosine
 * @property {number|null} probability of one speaker at the prior; null as above
 */

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
 * Compare an enrolled speaker with the embedding of another recording: by log-likelihood ratio and operating
 * point; by the cosine where the model has no calibration or a threshold is given.
 * @param {ArrayLike<number>} enrolled from `enrol`, or one recording's embedding
 * @param {ArrayLike<number>} embedding of the other recording
 * @param {{calibration: Calibration|null, threshold: number|null}} model a `Model`, or what it says of scores
 * @param {object} [options]
 * @param {[Quality[], Quality[]]} [options.qualities] of the recordings enrolled and of the other one; of
 *   what is not known, none. Whether a side comes through a telephone is then taken to be as for the other
 * @param {string[]} [options.doubts] what else is known against the recordings
 * @param {string} [options.operatingPoint] a name
 * @param {number} [options.maxFalseAccepts] share of different speakers that may be accepted, in place of it
 * @param {number} [options.prior] probability of one speaker before the recordings were heard
 * @param {number|null} [options.threshold] cosine from which on it is one speaker, in place of the
 *   calibration; null for the model's own
 * @returns {Verdict}
 * @throws {RangeError} embeddings of different sizes, zero or not finite; no such operating point; a share,
 *   prior or threshold that is none
 */
export function verify(enrolled, embedding, model, options = {}) {
  const { qualities = [[], []], doubts = [], threshold, operatingPoint, maxFalseAccepts } = options;
  const score = cosine(enrolled, embedding);
  if (isCalibrated(model, options)) {
    const ratioOf = (telephoneSides) => model.calibration.ratio(enrolled, embedding, telephoneSides);
    return { score, ...byRatio(model.calibration, ratioOf, qualities, options) };
  }
  if ((operatingPoint ?? STANDARD) !== STANDARD || maxFalseAccepts !== undefined) {
    const why = model.calibration === null ? "the model has no calibration" : "a threshold is given";
    throw new RangeError(`${why}: an operating point or maxFalseAccepts needs a calibration`);
  }
  const little = SIDES.flatMap((side, n) =>
    qualities[n].flatMap(littleSpeech).map((doubt) => `${side}: ${doubt}`),
  );
  return byCosine(score, threshold ?? model.threshold, [...doubts, ...little]);
}

/**
 * Who of the enrolled it is, if anybody: open-set identification. The more are enrolled, the more often a
 * stranger sounds like somebody: the share of false accepts of the operating point is divided by their
 * number, so that it holds for all of them together.
 * @param {{name: string, embedding: ArrayLike<number>, qualities?: Quality[], doubts?: string[]}[]} people
 *   enrolled, with what was measured of the recordings of each
 * @param {{embedding: ArrayLike<number>, quality?: Quality, doubts?: string[]}} test what `Model.hear` gives
 * @param {object} model see `verify`
 * @param {object} [options] `operatingPoint`, `maxFalseAccepts`, `prior` and `threshold`, see `verify`
 * @returns {{decision: "somebody"|"nobody"|"uncertain"|null, name: string|null, likeliest: object[]}} every
 *   verdict with its name, the likeliest first; `name` is the first one's if that is one speaker
 * @throws {RangeError} see `verify`
 */
export function identify(people, test, model, options = {}) {
  const { point, doubts } = isCalibrated(model, options)
    ? pointForAll(model.calibration, options, Math.max(people.length, 1))
    : { point: options, doubts: [] };
  const likeliest = people
    .map(({ name, embedding, qualities = [], doubts: own = [] }) => ({
      name,
      ...verify(embedding, test.embedding, model, {
        ...point,
        prior: options.prior,
        qualities: [qualities, test.quality ? [test.quality] : []],
        doubts: [...own, ...(test.doubts ?? []), ...doubts],
      }),
    }))
    .sort((one, two) => (two.ratio ?? two.score) - (one.ratio ?? one.score));
  const words = { "one speaker": "somebody", "two speakers": "nobody", uncertain: "uncertain" };
  const decision = likeliest.length ? (words[likeliest[0].decision] ?? null) : "nobody";
  return { decision, name: decision === "somebody" ? likeliest[0].name : null, likeliest };
}

function isCalibrated(model, { threshold }) {
  return Boolean(model.calibration) && threshold === undefined;
}

function byRatio(calibration, ratioOf, qualities, options) {
  const { operatingPoint = STANDARD, maxFalseAccepts, prior = 0.5, doubts = [] } = options;
  const sides = qualities.map((side) => (side.length ? together(side) : null));
  const outside = SIDES.flatMap((name, n) =>
    sides[n] ? calibration.doubts(sides[n]).map((doubt) => `${name}: ${doubt}`) : [],
  );
  const known = sides.filter(Boolean);
  const narrow = known.filter(isTelephone).length;
  const telephoneSides = Math.floor((narrow * 2) / Math.max(known.length, 1));
  const { map, fits } = calibration.mapFor(telephoneSides);
  if (!fits) outside.push("telephone band, which this model is not calibrated for");
  const point = maxFalseAccepts === undefined ? map.point(operatingPoint) : map.pointAtMost(maxFalseAccepts);
  const ratio = ratioOf(telephoneSides);
  const same = ratio >= point.ratio;
  const short =
    ratio > 0 && !same ? ["more likely one speaker, but not enough for this operating point"] : [];
  return {
    decision: outside.length ? "uncertain" : same ? "one speaker" : "two speakers",
    threshold: point.ratio,
    same,
    doubts: [...outside, ...doubts, ...short],
    ratio,
    probability: probability(ratio, prior),
  };
}

function byCosine(score, threshold, known) {
  const verdict = { score, threshold, ratio: null, probability: null };
  if (threshold === null) return { ...verdict, decision: null, same: null, doubts: known };
  if (!(threshold >= -1 && threshold <= 1)) {
    throw new RangeError(`threshold: a cosine from -1 to 1, found ${threshold}`);
  }
  const distance = Math.abs(score - threshold);
  const doubts = distance < CLOSE ? [...known, `${fixed(distance, 4)} from the threshold`] : known;
  const same = score >= threshold;
  return { ...verdict, decision: same ? "one speaker" : "two speakers", same, doubts };
}

/** The operating point for each of so many enrolled, and what it does not hold. */
function pointForAll(calibration, { operatingPoint = STANDARD, maxFalseAccepts }, number) {
  // One alone is compared as `verify` compares.
  if (number === 1) return { point: { operatingPoint, maxFalseAccepts }, doubts: [] };
  const share = maxFalseAccepts ?? calibration.maps.get(0).point(operatingPoint).falseAccepts;
  // What every map can promise: which of them counts depends on the trial.
  const least = Math.max(...[...calibration.maps.values()].map(({ table }) => table.at(-1).falseAccepts));
  const strangers = `of strangers up to ${general(100 * Math.min(least * number, 1), 3)} %`;
  return {
    point: { maxFalseAccepts: Math.max(share / number, least) },
    doubts: share / number < least ? [`${strangers} are taken for one of ${number} enrolled`] : [],
  };
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
