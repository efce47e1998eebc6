// How much speech there is in a recording, by its level alone; as svmixer/audio/speech.py counts it.

import { roundHalfEven } from "./windows.js";

const FRAME = 0.02; // seconds
export const RANGE_DB = 35; // speech lies within this distance of the loudest frame
export const FLOOR_DB = -60; // of full scale: nothing below is speech
const LEAST_CHANGE_DB = 3; // what changes less between its soft and loud frames is noise or a tone
const LOWEST_DB = -120;
const BINS = 150; // a bin a decibel, up to 30 dB above full scale

/** Counts frames by their level while a recording is read; memory does not grow with its length. */
export class SpeechMeter {
  /** @param {number} rate samples per second */
  constructor(rate) {
    this.frame = roundHalfEven(FRAME * rate);
    this._counts = new Array(BINS).fill(0);
  }

  /** Count the whole frames of a piece; returns how many of its samples are left over at its end. */
  take(wave) {
    const frames = Math.floor(wave.length / this.frame);
    for (let number = 0; number < frames; number++) {
      const power = variance(wave, number * this.frame, this.frame);
      const level = 10 * Math.log10(power + 1e-12) - LOWEST_DB;
      this._counts[Math.floor(Math.min(Math.max(level, 0), BINS - 1))] += 1;
    }
    return wave.length - frames * this.frame;
  }

  /** Share of the frames that may be speech; 0 if nothing rises above −60 dB of full scale. */
  share() {
    const all = total(this._counts);
    return all ? total(this._counts.slice(this._lowest())) / all : 0;
  }

  /** Whether the level of what may be speech hardly changes, as it does in noise and tones. */
  steady() {
    const counts = this._counts.slice(this._lowest());
    return total(counts) > 0 && quantile(counts, 0.9) - quantile(counts, 0.1) < LEAST_CHANGE_DB;
  }

  /** From the level that a tenth of all frames stay below to the one that a tenth exceed, dB. */
  levelRange() {
    return quantile(this._counts, 0.9) - quantile(this._counts, 0.1);
  }

  _lowest() {
    const loudest = quantile(this._counts, 1) + LOWEST_DB;
    return Math.round(Math.max(loudest - RANGE_DB, FLOOR_DB)) - LOWEST_DB;
  }
}

/** Without a constant offset, which is no sound. */
export function variance(wave, first, count) {
  let sum = 0;
  for (let n = first; n < first + count; n++) sum += wave[n];
  const mean = sum / count;
  let squares = 0;
  for (let n = first; n < first + count; n++) squares += (wave[n] - mean) ** 2;
  return squares / count;
}

function total(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The bin that holds this share of the counts together with those below it. */
function quantile(counts, share) {
  const wanted = share * total(counts);
  let sum = 0;
  const bin = counts.findIndex((count) => (sum += count) >= wanted);
  return bin < 0 ? counts.length : bin;
}
