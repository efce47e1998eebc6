// From cosines to log-likelihood ratios and decisions: what an export knows about its scores; as
// svmixer/inference/calibration.py and normalisation.py.

import { folder, readBytes } from "./files.js";
import { readNpy } from "./npy.js";
import { dot, unitVector } from "./vectors.js";
import { fixed, general } from "./words.js";

const CALIBRATION = "calibration.json";
const COHORT = "cohort.npy";
const FORMAT = 1;
// The operating point that is taken when none is named.
export const STANDARD = "standard";
const TELEPHONE_DB = -34; // less power above 4 kHz beside that below is the band of the telephone

/**
 * A decision threshold, and what it does on the speech that the calibration was made with.
 * @typedef {object} OperatingPoint
 * @property {number} ratio log-likelihood ratio from which on it is one speaker
 * @property {number} falseAccepts share of different-speaker trials accepted
 * @property {number} falseRejects share of same-speaker trials rejected
 */

/** From a score after AS-norm to a log-likelihood ratio, and thresholds for it. */
export class RatioMap {
  /**
   * @param {number} slope
   * @param {number} offset
   * @param {Map<string, OperatingPoint>} points by name
   * @param {OperatingPoint[]} table by falling share of false accepts
   */
  constructor(slope, offset, points, table) {
    Object.assign(this, { slope, offset, points, table });
  }

  /**
   * The operating point of that name.
   * @throws {RangeError} there is none
   */
  point(name) {
    const found = this.points.get(name);
    if (!found) {
      throw new RangeError(`no operating point '${name}'; known: ${[...this.points.keys()].join(", ")}`);
    }
    return found;
  }

  /**
   * The lowest threshold of the table with at most this share of false accepts.
   * @throws {RangeError} a share that is none, or smaller than the trials of the calibration can show
   */
  pointAtMost(falseAccepts) {
    if (!(falseAccepts > 0 && falseAccepts <= 1)) {
      throw new RangeError(`maxFalseAccepts: a share between 0 and 1, found ${falseAccepts}`);
    }
    const found = this.table.find((point) => point.falseAccepts <= falseAccepts);
    if (found) return found;
    const least = Math.min(...this.table.map((point) => point.falseAccepts));
    throw new RangeError(
      `maxFalseAccepts: ${general(100 * falseAccepts)} % is less than this model's calibration can ` +
        `promise, which is ${general(100 * least)} %`,
    );
  }
}

/** Log-likelihood ratios (natural logarithm) of a model's embeddings. */
export class Calibration {
  /**
   * @param {object} fields
   * @param {Float32Array[]} fields.cohort embeddings of unit length
   * @param {number} fields.top highest cohort scores that AS-norm takes
   * @param {{seconds: number, rangeDb: number, clipped: number}} fields.limits recordings with less speech,
   *   less range or more clipping are unlike those that the calibration was made with
   * @param {Map<number, RatioMap>} fields.maps by the number of a trial's two sides that have no more than
   *   the telephone band
   */
  constructor({ cohort, top, limits, maps }) {
    Object.assign(this, { cohort, top, limits, maps });
  }

  /** The map for so many sides of telephone bandwidth, and whether it was made with such trials. */
  mapFor(telephoneSides) {
    const fits = this.maps.has(telephoneSides);
    return { map: this.maps.get(fits ? telephoneSides : 0), fits };
  }

  /**
   * The score of two embeddings after AS-norm.
   * @throws {RangeError} zero, not finite, or with equal scores against the cohort
   */
  normalised(enrolled, embedding) {
    const sides = [enrolled, embedding].map(unitVector);
    const score = dot(...sides);
    const distances = sides.map((side) => {
      const { mean, deviation } = this._cohortStatistics(side);
      return (score - mean) / deviation;
    });
    return (distances[0] + distances[1]) / 2;
  }

  /** Log-likelihood ratio of two embeddings. */
  ratio(enrolled, embedding, telephoneSides = 0) {
    const { map } = this.mapFor(telephoneSides);
    return map.slope * this.normalised(enrolled, embedding) + map.offset;
  }

  /**
   * Why a recording is outside of the limits; empty if it is not.
   * @param {Quality} quality of all recordings of a side, see `together`
   * @returns {string[]}
   */
  doubts({ seconds, rangeDb, clipped }) {
    const { limits } = this;
    const found = [];
    if (seconds < limits.seconds) {
      found.push(`${fixed(seconds, 1)} s of speech, fewer than ${general(limits.seconds)}`);
    }
    if (rangeDb < limits.rangeDb) found.push(`noisy, ${fixed(rangeDb, 0)} dB between pauses and speech`);
    if (clipped > limits.clipped) {
      found.push(`clipped, ${fixed(100 * clipped, 1)} % of the samples at the peak`);
    }
    return found;
  }

  /** Mean and standard deviation of the highest scores against the cohort. */
  _cohortStatistics(side) {
    const scores = Float64Array.from(this.cohort, (row) => dot(side, row));
    const highest = scores.sort().slice(-this.top);
    const mean = highest.reduce((sum, score) => sum + score, 0) / this.top;
    const variance = highest.reduce((sum, score) => sum + (score - mean) ** 2, 0) / this.top;
    if (variance === 0) {
      const why = "it has one embedding several times";
      throw new RangeError(`an embedding has equal scores against the cohort: ${why}`);
    }
    return { mean, deviation: Math.sqrt(variance) };
  }
}

/** Whether a recording has no more than the band of the telephone. */
export function isTelephone({ bandDb }) {
  return bandDb < TELEPHONE_DB;
}

/**
 * The probability of one speaker.
 * @param {number} ratio log-likelihood ratio
 * @param {number} [prior] probability before the recordings were heard
 * @throws {RangeError} a prior that is not between 0 and 1
 */
export function probability(ratio, prior = 0.5) {
  if (!(prior > 0 && prior < 1)) {
    throw new RangeError(`prior: a probability between 0 and 1, found ${prior}`);
  }
  return 1 / (1 + Math.exp(-(ratio + Math.log(prior / (1 - prior)))));
}

/**
 * The calibration of an export directory.
 * @param {string|URL} directory an address, or in Node also a path
 * @param {number} size numbers of the model's embeddings
 * @returns {Promise<Calibration|null>} null if it has none
 * @throws {Error} damaged, or of another version; the message names the file
 */
export async function readCalibration(directory, size) {
  const [path, cohortPath] = [CALIBRATION, COHORT].map((name) => folder(directory) + name);
  const bytes = await readBytes(path, { optional: true });
  if (!bytes) return null;
  const found = parsed(new TextDecoder().decode(bytes), path);
  const cohort = readNpy(await readBytes(cohortPath), cohortPath);
  if (cohort[0]?.length !== size) {
    const what = `${cohort.length} embeddings of ${cohort[0]?.length ?? 0} numbers`;
    throw new Error(`${cohortPath}: ${what}, this model's have ${size}`);
  }
  if (found.top > cohort.length) {
    throw new Error(`${path}: top: ${found.top} is not between 2 and the ${cohort.length} of the cohort`);
  }
  try {
    return new Calibration({ ...found, cohort: cohort.map(unitVector) });
  } catch (error) {
    throw new Error(`${cohortPath}: ${error.message}`);
  }
}

/** What calibration.json says. */
function parsed(text, path) {
  let values;
  try {
    values = JSON.parse(text);
    if (values.format === FORMAT) return fieldsOf(values);
  } catch (error) {
    throw new Error(`${path}: damaged, or written by another version: ${error.message}`);
  }
  throw new Error(`${path}: of format ${values.format}, this version reads ${FORMAT}`);
}

function fieldsOf({ top, limits, maps }) {
  const read = Object.entries(maps).map(([sides, values]) => [Number(sides), mapOf(values)]);
  if (!(Number.isInteger(top) && top >= 2)) throw new TypeError(`top is ${top}`);
  if (!("0" in maps)) throw new TypeError("there is no map for 0 sides");
  return {
    top,
    limits: {
      seconds: number(limits, "seconds"),
      rangeDb: number(limits, "range_db"),
      clipped: number(limits, "clipped"),
    },
    maps: new Map(read),
  };
}

function mapOf(values) {
  const points = Object.entries(values.operating_points).map(([name, point]) => [name, pointOf(point)]);
  const table = values.table.map(pointOf);
  if (!table.length) throw new TypeError("a table is empty");
  return new RatioMap(number(values, "slope"), number(values, "offset"), new Map(points), table);
}

function pointOf(values) {
  return {
    ratio: number(values, "ratio"),
    falseAccepts: number(values, "false_accepts"),
    falseRejects: number(values, "false_rejects"),
  };
}

function number(values, name) {
  if (!Number.isFinite(values[name])) throw new TypeError(`${name} is ${values[name]}`);
  return values[name];
}
