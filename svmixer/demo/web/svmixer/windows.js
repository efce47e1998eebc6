// Audio of any length cut into windows of a fixed length; as svmixer/inference/windows.py does it.

export const PROTOCOLS = ["crops", "whole", "stream"];
const EMPTY = "empty waveform: there is nothing to repeat up to one window";

/**
 * A waveform repeated and cut to one window; longer ones are returned as they are.
 * @param {Float32Array} wave
 * @param {number} window samples of a window
 * @throws {RangeError} no samples
 */
export function repeatPad(wave, window) {
  if (wave.length === 0) throw new RangeError(EMPTY);
  if (wave.length >= window) return wave;
  const filled = new Float32Array(window);
  for (let start = 0; start < window; start += wave.length) {
    filled.set(start + wave.length <= window ? wave : wave.subarray(0, window - start), start);
  }
  return filled;
}

/**
 * First samples of the windows of an utterance, rising.
 * @param {number} numSamples of the utterance; up to `window` there is one window, which repeatPad fills
 * @param {number} window samples of a window
 * @param {"crops"|"whole"|"stream"} protocol crops: `numCrops` windows with evenly spaced starts; whole:
 *   the fewest windows that cover every sample, evenly spaced; stream: one after the other, the last one ends
 *   with the utterance
 * @param {number} numCrops windows of the protocol crops
 * @returns {number[]}
 * @throws {RangeError} no samples, an unknown protocol, less than one crop
 */
export function utteranceStarts(numSamples, window, protocol = "whole", numCrops = 10) {
  if (!PROTOCOLS.includes(protocol)) {
    throw new RangeError(`unknown protocol '${protocol}'; known: ${PROTOCOLS.join(", ")}`);
  }
  if (numCrops < 1) throw new RangeError(`numCrops must be at least 1, found ${numCrops}`);
  if (numSamples < 1) throw new RangeError(EMPTY);
  if (numSamples <= window) return [0];
  const count = protocol === "crops" ? numCrops : Math.ceil(numSamples / window);
  const last = numSamples - window;
  if (protocol === "stream") {
    return Array.from({ length: count }, (_, number) => Math.min(number * window, last));
  }
  // In this order of operations, so that every start rounds as it does in numpy.
  const step = last / (count - 1);
  const even = (_, number) => (number > 0 && number === count - 1 ? last : roundHalfEven(number * step));
  return count === 1 ? [0] : Array.from({ length: count }, even);
}

/** Rounded to an integer as Python does. */
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
