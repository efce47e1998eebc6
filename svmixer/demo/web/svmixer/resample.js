// Band-limited resampling with a windowed sinc: the band edges and the attenuation of soxr's high quality,
// which the Python side uses. Below the transition band the two differ by rounding alone.

import { checkRate } from "./checks.js";

const ATTENUATION = 120.4; // dB, 20 bits
const PASSBAND = 0.9136; // of the lower of the two Nyquist frequencies; the stop band begins at 1
const BETA = 0.1102 * (ATTENUATION - 8.7);
const MOST_PHASES = 1024; // between finer positions two neighbouring filters are interpolated

/** Pieces of one channel at one rate → pieces at another; together what the whole would give. */
export class Resampler {
  /**
   * @param {number} rate of what comes, in Hz
   * @param {number} rateOut wanted, in Hz
   * @throws {AudioError} bad rate
   */
  constructor(rate, rateOut) {
    const divisor = gcd(checkRate(rate), checkRate(rateOut));
    this._up = rateOut / divisor;
    this._down = rate / divisor;
    this._equal = rate === rateOut;
    if (this._equal) return;
    const scale = Math.min(1, rateOut / rate); // the lower Nyquist frequency, of the input's
    const taps = (ATTENUATION - 7.95) / (14.36 * ((1 - PASSBAND) * scale * 0.5));
    this._half = Math.ceil(taps / 2);
    this._phases = Math.min(this._up, MOST_PHASES);
    this._filters = filters(this._phases, this._half, ((1 + PASSBAND) / 2) * scale);
    // Input from sample `_first` on; before the recording there is silence.
    this._input = new Float32Array(this._half);
    this._first = -this._half;
    this._taken = 0;
    this._given = 0;
    // The next output lies at input sample _at + _rest / up.
    this._at = 0;
    this._rest = 0;
  }

  /**
   * The next piece → what is known behind it; after the last one, all.
   * @param {Float32Array} wave
   * @param {boolean} last
   * @returns {Float32Array}
   */
  push(wave, last = false) {
    if (this._equal) return wave;
    this._taken += wave.length;
    const tail = last ? this._half + 1 : 0;
    const input = new Float32Array(this._input.length + wave.length + tail);
    input.set(this._input);
    input.set(wave, this._input.length);
    this._input = input;
    const total = Math.floor((this._taken * this._up) / this._down + 0.5);
    const output = new Float32Array(Math.ceil((input.length * this._up) / this._down) + 1);
    let count = 0;
    while (this._at + this._half < this._first + input.length && (!last || this._given < total)) {
      output[count++] = this._value();
      this._given += 1;
      this._rest += this._down;
      this._at += Math.floor(this._rest / this._up);
      this._rest %= this._up;
    }
    const unneeded = Math.min(Math.max(0, this._at - this._half + 1 - this._first), input.length);
    this._input = input.slice(unneeded);
    this._first += unneeded;
    return output.slice(0, count);
  }

  /** The output at the present position. */
  _value() {
    const begin = this._at - this._half + 1 - this._first;
    const width = 2 * this._half;
    const position = (this._rest * this._phases) / this._up;
    const row = Math.floor(position);
    const weight = position - row;
    const here = product(this._input, begin, this._filters, row * width, width);
    if (weight === 0) return here;
    const next = product(this._input, begin, this._filters, (row + 1) * width, width);
    return (1 - weight) * here + weight * next;
  }
}

function product(input, begin, table, row, width) {
  let sum = 0;
  for (let n = 0; n < width; n++) sum += input[begin + n] * table[row + n];
  return sum;
}

/**
 * A whole channel at another rate.
 * @param {Float32Array} wave
 * @param {number} rate of it, in Hz
 * @param {number} rateOut wanted, in Hz
 * @returns {Float32Array} untouched at equal rates
 */
export function resample(wave, rate, rateOut) {
  return new Resampler(rate, rateOut).push(wave, true);
}

/** Rows of filters for positions 0, 1/phases, …, 1 between two samples, each of 2 · half taps. */
function filters(phases, half, cutoff) {
  const table = new Float64Array((phases + 1) * 2 * half);
  const edge = bessel(BETA);
  for (let row = 0, at = 0; row <= phases; row++) {
    for (let tap = 0; tap < 2 * half; tap++, at++) {
      const distance = tap - half + 1 - row / phases;
      const place = distance / half;
      const angle = Math.PI * cutoff * distance;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const inside = Math.max(0, 1 - place * place);
      table[at] = (cutoff * sinc * bessel(BETA * Math.sqrt(inside))) / edge;
    }
  }
  return table;
}

/** The modified Bessel function of the first kind and order zero. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let n = 1; term > 1e-17 * sum; n++) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
