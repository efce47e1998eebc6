// Embeddings of audio that arrives piece by piece, in memory that does not grow with its length; as
// svmixer/inference/stream.py.

import { DIFFERING, Downmix, asChannels, checkLength, checkRate } from "./checks.js";
import { QualityMeter, steadySound } from "./quality.js";
import { Resampler } from "./resample.js";
import { SpeechSum, dot, joined, unitLength, unitVector, windowPower } from "./vectors.js";
import { repeatPad } from "./windows.js";

const WINDOWS_AT_ONCE = 4; // bounds the memory

/**
 * A running embedding, and its score against an enrolled one.
 *
 * Windows begin every `hop` samples; what is left at the end is covered by one more window that ends with the
 * audio, and less than one window is repeated to fill it. Calls must not overlap: await each one.
 */
export class EmbeddingStream {
  /**
   * @param {object} model a `Model`
   * @param {object} options
   * @param {number} [options.sampleRate] of the audio that comes, in Hz; the model's if left out
   * @param {number} [options.hop] samples at the model's rate from one window to the next, 1 to a window
   * @param {ArrayLike<number>|null} [options.enrolled] embedding that `score` compares with
   * @param {number|null} [options.channel] the one to take, from 0; null takes the mean of all
   * @throws {AudioError|RangeError} a sampling rate that no recording has, or a hop out of range
   */
  constructor(model, options = {}) {
    const { sampleRate = model.sampleRate, hop = model.window, enrolled = null, channel = null } = options;
    if (!(Number.isInteger(hop) && hop >= 1 && hop <= model.window)) {
      throw new RangeError(`hop must be 1 to ${model.window} samples, found ${hop}`);
    }
    this.window = model.window;
    this.hop = hop;
    this.enrolled = enrolled && unitVector(enrolled);
    this.numSamples = 0; // so far, at the model's rate; resampled audio is some milliseconds behind what came
    this.latest = null; // embedding of the last whole window, unit length
    this._model = model;
    this._downmix = new Downmix(channel);
    this._resampler = new Resampler(checkRate(sampleRate), model.sampleRate);
    this._meter = new QualityMeter(model.sampleRate);
    this._recent = new Float32Array(0);
    this._next = 0;
    this._sum = new SpeechSum();
    this._finished = false;
  }

  /** Whole windows so far. */
  get windows() {
    return this._next / this.hop;
  }

  /** What was measured of the audio so far; see `Quality`. */
  get quality() {
    return this._meter.quality(this.numSamples);
  }

  /** What else speaks against relying on what has come so far. */
  get doubts() {
    return [...(this._downmix.differing ? [DIFFERING] : []), ...steadySound(this.quality)];
  }

  /**
   * Take the next samples.
   * @param {ArrayLike<number>|ArrayLike<number>[]} wave see `asChannels`, of any length
   * @returns {Promise<number>} whole windows that these samples completed
   * @throws {AudioError|Error} audio that cannot be used, or the stream is finished
   */
  async push(wave) {
    if (this._finished) throw new Error("the stream is finished; start another one");
    return this._take(this._resampler.push(this._downmix.take(asChannels(wave))));
  }

  /** Take what the resampler still holds; no samples can follow. */
  async finish() {
    if (this._finished) return 0;
    this._finished = true;
    return this._take(this._resampler.push(new Float32Array(0), true));
  }

  /**
   * The embedding, unit length, of all audio so far; costs one window more where it does not end with one.
   * @param {{tail?: boolean}} options tail: false leaves out what comes behind the last whole window, if there
   *   is one, and costs nothing then
   * @returns {Promise<Float32Array>}
   * @throws {AudioError} too little audio so far, or nothing in it
   */
  async embedding({ tail = true } = {}) {
    checkLength(this.numSamples, this._model.sampleRate);
    this._downmix.finish(this._model.sampleRate);
    const total = this._sum.copy();
    const rest = this._next - this.hop + this.window < this.numSamples;
    if (this._next === 0 || (tail && rest)) {
      const last = repeatPad(this._recent, this.window);
      const [row] = await this._model.embedWindows([last]);
      total.add(unitLength(row), windowPower(last));
    }
    return unitLength(total.mean());
  }

  /**
   * Cosine of the embedding so far with the enrolled one.
   * @returns {Promise<number>}
   * @throws {AudioError|Error} see `embedding`; nobody is enrolled
   */
  async score() {
    if (!this.enrolled) throw new Error("nobody is enrolled: give the stream an embedding to compare with");
    return dot(await this.embedding(), this.enrolled);
  }

  async _take(wave) {
    const before = this.windows;
    this._meter.extend(wave);
    const most = WINDOWS_AT_ONCE * this.window;
    for (let first = 0; first < wave.length; first += most) {
      const piece = wave.subarray(first, first + most);
      this._recent = joined(this._recent, piece);
      this.numSamples += piece.length;
      await this._advance();
    }
    return this.windows - before;
  }

  /** Embed the windows that are whole now, and forget what no window can need. */
  async _advance() {
    const begin = this.numSamples - this._recent.length;
    while (this._next + this.window <= this.numSamples) {
      const windows = [];
      for (let n = 0; n < WINDOWS_AT_ONCE && this._next + this.window <= this.numSamples; n++) {
        windows.push(this._recent.subarray(this._next - begin, this._next - begin + this.window));
        this._next += this.hop;
      }
      const rows = await this._model.embedWindows(windows);
      rows.map(unitLength).forEach((row, number) => {
        this._sum.add(row, windowPower(windows[number]));
        this.latest = row;
      });
    }
    this._recent = this._recent.slice(-this.window);
  }
}
