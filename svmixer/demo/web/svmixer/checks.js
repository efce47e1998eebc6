// The checks that audio passes on its way to a model, with the words of svmixer/audio/checks.py.

export const MIN_SECONDS = 0.3; // shorter than a word
const LOWEST_RATE = 1000;
const HIGHEST_RATE = 1000000;
const HIGHEST_SAMPLE = 256; // 48 dB above full scale
const MOST_CHANNELS = 8;
const CANCELLED = 0.01; // share of the channels' power below which their mean has lost what they hold
const UNUSED = 0.01; // a channel with less than this share of the strongest one's power is not in use
export const DIFFERING = "its channels hold different sounds, which are mixed; choose a channel";

// Integer arrays: value of silence, distance to full scale.
const INTEGERS = new Map([
  [Int8Array, [0, 2 ** 7]],
  [Int16Array, [0, 2 ** 15]],
  [Int32Array, [0, 2 ** 31]],
  [Uint8Array, [2 ** 7, 2 ** 7]],
  [Uint16Array, [2 ** 15, 2 ** 15]],
]);

/** Audio that cannot be used; `reason` is what summaries group by, `message` is `reason: detail`. */
export class AudioError extends Error {
  constructor(reason, detail = "") {
    super(detail ? `${reason}: ${detail}` : reason);
    this.name = "AudioError";
    this.reason = reason;
  }
}

/**
 * A sampling rate in Hz.
 * @throws {AudioError} bad rate: none that a recording has
 */
export function checkRate(rate) {
  if (!Number.isInteger(rate) || rate < LOWEST_RATE || rate > HIGHEST_RATE) {
    throw new AudioError("bad rate", `sampling rate ${rate}, expected ${LOWEST_RATE} to ${HIGHEST_RATE} Hz`);
  }
  return rate;
}

/**
 * Samples as channels.
 * @param {ArrayLike<number>|ArrayLike<number>[]} wave one channel, or an array of channels of one length:
 *   floats in −1…1, or integer arrays, which are scaled by their range
 * @returns {Float32Array[]}
 * @throws {AudioError} bad shape, bad type, non-finite, over full scale
 */
export function asChannels(wave) {
  const several = Array.isArray(wave) && wave.length > 0 && typeof wave[0] === "object";
  const channels = (several ? wave : [wave]).map(asFloats);
  if (channels.length > MOST_CHANNELS) {
    throw new AudioError("bad shape", `expected up to ${MOST_CHANNELS} channels, found ${channels.length}`);
  }
  if (channels.some((channel) => channel.length !== channels[0].length)) {
    const lengths = channels.map((channel) => channel.length).join(", ");
    throw new AudioError("bad shape", `channels of different lengths: ${lengths}`);
  }
  channels.forEach(checkSamples);
  return channels;
}

function asFloats(channel) {
  if (channel instanceof Float32Array) return channel;
  const integers = INTEGERS.get(channel?.constructor);
  if (integers) {
    const [zero, scale] = integers;
    return Float32Array.from(channel, (value) => (value - zero) / scale);
  }
  if (channel instanceof Float64Array || Array.isArray(channel)) return Float32Array.from(channel);
  throw new AudioError("bad type", "expected a Float32Array of samples, or an array of such channels");
}

function checkSamples(channel) {
  let bad = 0;
  let peak = 0;
  for (const sample of channel) {
    if (!Number.isFinite(sample)) bad += 1;
    else if (Math.abs(sample) > peak) peak = Math.abs(sample);
  }
  if (bad) throw new AudioError("non-finite", `${bad} of ${channel.length} samples are NaN or infinite`);
  if (peak > HIGHEST_SAMPLE) {
    const what = `samples of up to ${peak} where full scale is 1; were they integers?`;
    throw new AudioError("over full scale", `${what} Divide by their full scale`);
  }
}

/** @throws {AudioError} empty, or too short to tell a voice */
export function checkLength(numSamples, rate) {
  if (numSamples === 0) throw new AudioError("empty", "no samples");
  if (numSamples < Math.round(MIN_SECONDS * rate)) {
    const seconds = Number((numSamples / rate).toPrecision(4));
    throw new AudioError("too short", `${seconds} s, less than ${MIN_SECONDS} s`);
  }
}

/** Pieces of one recording → its one channel, and whether there was anything in it. */
export class Downmix {
  /** @param {number|null} channel the one to take, from 0; null takes the mean of all */
  constructor(channel = null) {
    this.channel = channel;
    this._samples = 0;
    this._meanPower = 0;
    this._powers = null;
  }

  /**
   * One piece.
   * @param {Float32Array[]} channels
   * @returns {Float32Array}
   * @throws {AudioError} no such channel; another number of channels than before
   */
  take(channels) {
    const mono = mix(pick(channels, this.channel));
    const powers = (this.channel === null ? channels : [mono]).map(energy);
    if (this._powers && this._powers.length !== powers.length) {
      throw new AudioError("bad shape", `${powers.length} channels, and ${this._powers.length} before`);
    }
    this._samples += mono.length;
    this._meanPower += energy(mono);
    this._powers = powers.map((power, number) => power + (this._powers?.[number] ?? 0));
    return mono;
  }

  /** Whether channels in use hold different sounds, as of the two ends of a telephone line. */
  get differing() {
    const powers = this._powers ?? [0];
    const strongest = Math.max(...powers);
    const used = powers.filter((power) => power > UNUSED * strongest).length;
    return used > 1 && this._meanPower < ((1 + 1 / used) / 2) * average(powers);
  }

  /** @throws {AudioError} all-zero: digital silence, or channels that cancel each other in their mean */
  finish(rate) {
    const powers = this._powers ?? [0];
    if (!powers.some((power) => power > 0)) {
      throw new AudioError("all-zero", `${(this._samples / rate).toFixed(2)} s of digital silence`);
    }
    if (this._meanPower < CANCELLED * average(powers)) {
      const silent = `the mean of the ${powers.length} channels is silent`;
      const what = `${silent}, they cancel each other (opposite phase); take one of them`;
      throw new AudioError("all-zero", `${what}: channel 0 to ${powers.length - 1}`);
    }
  }
}

function pick(channels, channel) {
  if (channel === null) return channels;
  if (!Number.isInteger(channel) || channel < 0 || channel >= channels.length) {
    const count = channels.length === 1 ? "1 channel" : `${channels.length} channels`;
    const what = `channel ${channel} (counted from 0), and the recording has ${count}`;
    throw new AudioError("no such channel", what);
  }
  return [channels[channel]];
}

function mix(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let n = 0; n < mono.length; n++) mono[n] += channel[n];
  }
  return mono.map((sum) => sum / channels.length);
}

function energy(wave) {
  let sum = 0;
  for (const sample of wave) sum += sample * sample;
  return sum;
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
