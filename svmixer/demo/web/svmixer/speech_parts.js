// The speech of a recording without what surrounds it, where that is much; as svmixer/inference/speech_parts.py
// does it by level.

import { FLOOR_DB, RANGE_DB, variance } from "./speech.js";
import { roundHalfEven } from "./windows.js";

const FRAME = 0.032; // seconds
const NOISE_SHARE = 0.05; // of the frames are softer than the background
const ABOVE_NOISE_DB = 9; // speech stands out of it by this much …
const NOISE_RANGE_DB = 18; // … unless that comes closer than this to the loudest frame
const MARGIN = 0.3; // seconds kept on both sides: soft sounds, and pauses between words
const LEAST_LEFT_OUT = 3; // seconds …
const MOST_KEPT = 0.6; // … and a share: of what is mostly speech everything is kept

/**
 * What to embed of a recording.
 * @param {Float32Array} wave one channel
 * @param {number} rate samples per second
 * @returns {Float32Array} the recording, or its speech where that is far shorter
 */
export function speechParts(wave, rate) {
  const size = roundHalfEven(FRAME * rate);
  const levels = Float64Array.from(
    { length: Math.floor(wave.length / size) },
    (_, number) => 10 * Math.log10(variance(wave, number * size, size) + 1e-12),
  );
  if (!levels.length) return wave;
  const parts = stretches(keptFrames(levels), size, wave.length);
  const total = parts.reduce((sum, [start, end]) => sum + end - start, 0);
  if (!total || wave.length - total < LEAST_LEFT_OUT * rate || total > MOST_KEPT * wave.length) return wave;
  const kept = new Float32Array(total);
  let place = 0;
  for (const [start, end] of parts) {
    kept.set(wave.subarray(start, end), place);
    place += end - start;
  }
  return kept;
}

/** Which frames are speech, or near it and not silent. */
function keptFrames(levels) {
  const loudest = levels.reduce((most, level) => Math.max(most, level));
  const background = Math.min(quantile(levels, NOISE_SHARE) + ABOVE_NOISE_DB, loudest - NOISE_RANGE_DB);
  // However faint the recording is: what is soft in it is not silence.
  const lowest = Math.max(loudest - RANGE_DB, background);
  const silence = Math.min(FLOOR_DB, loudest - RANGE_DB);
  const margin = Math.ceil(MARGIN / FRAME);
  const kept = new Uint8Array(levels.length);
  levels.forEach((level, at) => {
    if (level <= lowest) return;
    for (let n = Math.max(0, at - margin); n <= Math.min(levels.length - 1, at + margin); n++) {
      if (n === at || levels[n] >= silence) kept[n] = 1;
    }
  });
  return kept;
}

/** [first sample, the one behind the last] of each run of frames that are kept. */
function stretches(kept, size, samples) {
  const found = [];
  kept.forEach((flag, at) => {
    if (!flag) return;
    // Behind the last frame, what is no whole one any more.
    const end = at === kept.length - 1 ? samples : (at + 1) * size;
    if (at && kept[at - 1]) found[found.length - 1][1] = end;
    else found.push([at * size, end]);
  });
  return found;
}

/** The value that a share of the values lies below, between two of them by a straight line. */
function quantile(values, share) {
  const sorted = values.slice().sort();
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}
