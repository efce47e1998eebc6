// How good a recording is: speech in it, level range, bandwidth, clipping; as svmixer/audio/quality.py
// measures it.

import { Spectrum } from "./spectrum.js";
import { SpeechMeter } from "./speech.js";
import { joined } from "./vectors.js";
import { fixed } from "./words.js";

// Hz: the band of the telephone, and what lies above it.
const LOW = [300, 3700];
const HIGH = 4000;
const NEAR_PEAK = 0.98; // samples from this share of the loudest one of their piece on count as clipped
// dB below the loudest piece of a recording: in softer ones nothing is clipped, and the last bit is the peak.
const PEAKS_DB = 20;
const LOWEST_DB = -120; // of the bins for peaks, one a decibel, up to 30 dB above full scale
const BINS = 150;
const NOTHING = -120; // of what has not been measured, dB
const LITTLE_SPEECH = 1; // seconds; less says little about a voice
const PIECE = 48; // seconds of a stream that have a peak of their own, as long as the pieces of a file
const STEADY = "a steady sound, hardly speech";

/**
 * What was measured of a recording.
 * @typedef {object} Quality
 * @property {number} seconds of speech, by its level alone
 * @property {number} rangeDb from the level that a tenth of the 20 ms frames stay below to the one that a
 *   tenth exceed, dB: speech and its pauses lie far apart, noise fills the pauses
 * @property {number} bandDb power a Hz above 4 kHz over that from 300 to 3700 Hz, dB
 * @property {number} clipped share of the samples within 2 % of the peak
 * @property {boolean} steady whether the level hardly changes, as it does in noise and tones
 */

/**
 * Of several recordings of one speaker: the speech in all of them, and the worst of the rest. The band is the
 * widest: what one of them lacks, another has.
 * @param {Quality[]} qualities one at least
 * @returns {Quality}
 */
export function together(qualities) {
  return {
    seconds: qualities.reduce((sum, { seconds }) => sum + seconds, 0),
    rangeDb: Math.min(...qualities.map(({ rangeDb }) => rangeDb)),
    bandDb: Math.max(...qualities.map(({ bandDb }) => bandDb)),
    clipped: Math.max(...qualities.map(({ clipped }) => clipped)),
    steady: qualities.some(({ steady }) => steady),
  };
}

/** That there is little speech, of which a calibration has limits of its own; empty if there is enough. */
export function littleSpeech({ seconds }) {
  return seconds < LITTLE_SPEECH ? [`${fixed(seconds, 1)} s of speech`] : [];
}

/** That it is hardly speech; empty if it may be. Of less than a second nobody knows. */
export function steadySound(quality) {
  return quality.steady && !littleSpeech(quality).length ? [STEADY] : [];
}

/** Measures pieces of a recording as they are read; memory does not grow with its length. */
export class QualityMeter extends SpeechMeter {
  /** @param {number} rate samples per second, at least 8100: there is a band above the telephone's then */
  constructor(rate) {
    super(rate);
    this.rate = rate;
    this._hann = Float64Array.from({ length: this.frame }, (_, n) => hann(n, this.frame));
    this._spectrum = new Spectrum(this.frame);
    this._powers = new Float64Array(Math.floor(this.frame / 2) + 1);
    this._windowed = new Float64Array(this.frame);
    this._rest = new Float32Array(0); // of a stream, behind its last whole frame
    this._piece = new NearPeak();
    this._pieces = { counts: new Float64Array(BINS), samples: 0 };
  }

  /** Measure a whole piece; returns how many samples are left over behind its last frame. */
  take(wave) {
    this._piece.take(wave);
    this._endPiece();
    return this._takeFrames(wave);
  }

  /** Measure the next samples of a stream. */
  extend(wave) {
    this._piece.take(wave);
    if (this._piece.samples >= PIECE * this.rate) this._endPiece();
    const all = joined(this._rest, wave);
    this._rest = all.slice(all.length - this._takeFrames(all));
  }

  /**
   * What was measured.
   * @param {number} samples of the recording, all of whose pieces have been taken
   * @returns {Quality}
   */
  quality(samples) {
    const bins = (wanted) => this._powers.filter((_, bin) => wanted((bin * this.rate) / this.frame));
    const inside = average(bins((hertz) => hertz >= LOW[0] && hertz <= LOW[1]));
    const above = average(bins((hertz) => hertz >= HIGH));
    const all = this._pieces.samples + this._piece.samples;
    const counts = this._piece.addTo(this._pieces.counts.slice());
    const loudest = Math.max(counts.findLastIndex((count) => count > 0), 0);
    const nearPeak = counts.slice(Math.max(loudest - PEAKS_DB, 0)).reduce((sum, count) => sum + count, 0);
    return {
      seconds: (this.share() * samples) / this.rate,
      rangeDb: this.levelRange(),
      bandDb: inside > 0 ? 10 * Math.log10(Math.max(above / inside, 1e-12)) : NOTHING,
      clipped: nearPeak / Math.max(all, 1),
      steady: this.steady(),
    };
  }

  _takeFrames(wave) {
    for (let at = 0; at + this.frame <= wave.length; at += this.frame) {
      for (let n = 0; n < this.frame; n++) this._windowed[n] = wave[at + n] * this._hann[n];
      this._spectrum.powers(this._windowed).forEach((power, bin) => (this._powers[bin] += power));
    }
    return super.take(wave);
  }

  _endPiece() {
    this._piece.addTo(this._pieces.counts);
    this._pieces.samples += this._piece.samples;
    this._piece = new NearPeak();
  }
}

/** How many samples of a piece are near its peak, which may rise as it comes. */
class NearPeak {
  constructor() {
    this.samples = 0;
    this._peak = 0;
    this._near = []; // magnitudes
  }

  /** Add their number to the bin of the peak; returns the bins. */
  addTo(counts) {
    if (this._peak > 0) {
      const place = Math.trunc(20 * Math.log10(this._peak) - LOWEST_DB);
      counts[Math.min(Math.max(place, 0), BINS - 1)] += this._near.length;
    }
    return counts;
  }

  take(wave) {
    const peak = wave.reduce((most, sample) => Math.max(most, Math.abs(sample)), this._peak);
    if (peak > this._peak) this._near = this._near.filter((value) => value >= NEAR_PEAK * peak);
    this._peak = peak;
    this.samples += wave.length;
    if (peak === 0) return;
    for (const sample of wave) {
      if (Math.abs(sample) >= NEAR_PEAK * peak) this._near.push(Math.abs(sample));
    }
  }
}

/** Both ends, which would be zero, left out. */
function hann(n, frame) {
  return 0.5 - 0.5 * Math.cos((2 * Math.PI * (n + 1)) / (frame + 1));
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
