// A model of an export directory: samples → embedding by ONNX Runtime; as svmixer/inference/onnx_model.py.

import { readCalibration } from "./calibration.js";
import { AudioError, DIFFERING, Downmix, asChannels, checkLength, checkRate } from "./checks.js";
import { folder, readBytes } from "./files.js";
import { QualityMeter, steadySound } from "./quality.js";
import { resample } from "./resample.js";
import { speechParts } from "./speech_parts.js";
import { EmbeddingStream } from "./stream.js";
import { SpeechSum, unitLength, windowPower } from "./vectors.js";
import { repeatPad, utteranceStarts } from "./windows.js";

const FILES = { float32: "model.onnx", int8: "model.int8.onnx" };
const FORMAT = 1;
const WINDOWS_READ = 16; // that lie close together and are counted as one piece of speech, as in Python
const WINDOWS_AT_ONCE = 4; // through the graph: bounds the memory; more are no faster
const NEEDED = ["sample_rate", "window", "embedding", "precisions", "threshold"];

/**
 * The model of an export directory.
 * @param {object} ort onnxruntime-web or onnxruntime-node, imported by the caller
 * @param {string|URL} directory what `svmixer export` wrote: an address, or in Node also a path
 * @param {{precision?: "auto"|"float32"|"int8", calibrated?: boolean}} options precision: auto is the one
 *   that the export recommends; calibrated: false leaves the calibration out
 * @returns {Promise<Model>}
 * @throws {Error} a file is missing, damaged or of another version; the message names it
 */
export async function load(ort, directory, { precision = "auto", calibrated = true } = {}) {
  const base = folder(directory);
  const text = new TextDecoder().decode(await readBytes(`${base}export.json`));
  const description = readDescription(text, `${base}export.json`);
  const wanted = precision === "auto" ? description.precisions[0] : precision;
  if (!description.precisions.includes(wanted)) {
    throw new Error(`${base}: there is no ${wanted} model, only ${description.precisions.join(", ")}`);
  }
  const path = base + FILES[wanted];
  const calibration = calibrated ? await readCalibration(base, description.embedding) : null;
  const graph = await readBytes(path);
  try {
    const session = await ort.InferenceSession.create(graph, { logSeverityLevel: 3 });
    return new Model(ort, session, description, wanted, calibration);
  } catch (error) {
    throw new Error(`${path}: not a model that ONNX Runtime reads: ${error.message}`);
  }
}

/**
 * What export.json says.
 * @param {string} text
 * @param {string} name of the file, for errors
 * @throws {Error} damaged, or of another version
 */
export function readDescription(text, name = "export.json") {
  const refuse = (why) => {
    throw new Error(`${name}: not the description of an exported model: ${why}`);
  };
  let description;
  try {
    description = JSON.parse(text);
  } catch (error) {
    refuse(error.message);
  }
  if (description?.format !== FORMAT) {
    throw new Error(`${name}: format ${description?.format}, this version reads ${FORMAT}`);
  }
  NEEDED.filter((key) => !(key in description)).forEach((key) => refuse(`${key} is missing`));
  return description;
}

/** A speaker model. */
export class Model {
  /**
   * @param {object} ort onnxruntime-web or onnxruntime-node
   * @param {object} session of that graph
   * @param {object} description what export.json says
   * @param {string} precision of the graph
   * @param {Calibration|null} calibration null: it decides by the cosine
   */
  constructor(ort, session, description, precision, calibration = null) {
    this._ort = ort;
    this._session = session;
    this.description = description;
    this.precision = precision;
    this.calibration = calibration;
    this.sampleRate = description.sample_rate; // Hz
    this.window = description.window; // samples of one window
    this.size = description.embedding; // numbers of an embedding
    this.threshold = description.threshold?.cosine ?? null; // cosine; null: the export set none
  }

  /**
   * Windows → embeddings, not scaled to unit length.
   * @param {Float32Array[]} windows each of `window` samples
   * @returns {Promise<Float32Array[]>}
   */
  async embedWindows(windows) {
    const input = new Float32Array(windows.length * this.window);
    windows.forEach((window, number) => input.set(window, number * this.window));
    const wave = new this._ort.Tensor("float32", input, [windows.length, this.window]);
    const { embedding } = await this._session.run({ wave });
    return windows.map((_, number) => embedding.data.slice(number * this.size, (number + 1) * this.size));
  }

  /**
   * The embedding of one utterance of any length; compare two with `verify`.
   * @param {ArrayLike<number>|ArrayLike<number>[]} wave see `asChannels`
   * @param {number} sampleRate of it, in Hz
   * @param {{protocol?: string, numCrops?: number, channel?: number|null}} options protocol: see
   *   `utteranceStarts`; channel: the one to take, from 0, null for the mean of all
   * @returns {Promise<Float32Array>} of unit length, but for the protocol crops
   * @throws {AudioError} audio that cannot be used
   */
  async embed(wave, sampleRate = this.sampleRate, options = {}) {
    const { protocol = "whole", numCrops = 10, channel = null } = options;
    const { mono } = this._oneChannel(wave, sampleRate, channel);
    return this._embedding(mono, protocol, numCrops);
  }

  /**
   * The embedding of a recording, with a look at its speech.
   * @param {ArrayLike<number>|ArrayLike<number>[]} wave see `asChannels`
   * @param {number} sampleRate of it, in Hz
   * @param {{channel?: number|null}} options see `embed`
   * @returns {Promise<{embedding: Float32Array, seconds: number, quality: Quality, doubts: string[]}>}
   *   seconds of the recording, what was measured of it, and what else speaks against relying on it
   * @throws {AudioError} audio that cannot be used, or without any speech
   */
  async hear(wave, sampleRate = this.sampleRate, { channel = null } = {}) {
    const { mono, differing } = this._oneChannel(wave, sampleRate, channel);
    const speech = speechParts(mono, this.sampleRate);
    const meter = new QualityMeter(this.sampleRate);
    const embedding = await this._embedding(speech, "whole", 1, (piece) => meter.take(piece));
    const quality = meter.quality(speech.length);
    if (quality.seconds === 0) {
      throw new AudioError("no speech", "nothing in it is louder than -60 dB of full scale");
    }
    const doubts = [...(differing ? [DIFFERING] : []), ...steadySound(quality)];
    return { embedding, seconds: mono.length / this.sampleRate, quality, doubts };
  }

  /**
   * For audio that arrives piece by piece.
   * @param {{sampleRate?: number, hop?: number, enrolled?: ArrayLike<number>, channel?: number|null}} options
   *   see `EmbeddingStream`
   */
  stream(options = {}) {
    return new EmbeddingStream(this, options);
  }

  _oneChannel(wave, sampleRate, channel) {
    const channels = asChannels(wave);
    checkLength(channels[0].length, checkRate(sampleRate));
    const downmix = new Downmix(channel);
    const mono = downmix.take(channels);
    downmix.finish(sampleRate);
    return { mono: resample(mono, sampleRate, this.sampleRate), differing: downmix.differing };
  }

  /** `listen` gets the samples as they are read, windows that lie close together at once. */
  async _embedding(mono, protocol, numCrops, listen = () => {}) {
    const starts = utteranceStarts(mono.length, this.window, protocol, numCrops);
    const sum = new SpeechSum();
    for (let position = 0; position < starts.length; ) {
      const begin = starts[position];
      const beyond = starts.findIndex((start) => start > begin + (WINDOWS_READ - 1) * this.window);
      const after = beyond < 0 ? starts.length : beyond;
      const piece = mono.subarray(begin, starts[after - 1] + this.window);
      listen(piece);
      const filled = repeatPad(piece, this.window);
      const windows = starts
        .slice(position, after)
        .map((start) => filled.subarray(start - begin, start - begin + this.window));
      for (let first = 0; first < windows.length; first += WINDOWS_AT_ONCE) {
        const batch = windows.slice(first, first + WINDOWS_AT_ONCE);
        const rows = await this.embedWindows(batch);
        rows.forEach((row, number) => sum.add(unitLength(row), windowPower(batch[number])));
      }
      position = after;
    }
    const mean = sum.mean(protocol === "crops");
    return protocol === "crops" ? Float32Array.from(mean) : unitLength(mean);
  }
}
