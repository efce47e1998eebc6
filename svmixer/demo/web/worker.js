// The model in a thread of its own, so that the page stays quick. Messages are {id, call, args}; the answers
// {id, result} or {id, error}, in the order of the calls.

import { AudioError, load } from "./svmixer/svmixer.js";

const QUIET = "nothing in it is louder than -60 dB of full scale";

// ONNX Runtime does not tell how much memory it has taken, so what it makes is kept in sight.
const memories = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(description) {
    super(description);
    memories.push(this);
  }
};

let model = null;
let stream = null;
let asked = 0;

const calls = {
  async load({ directory }) {
    const ort = await import("./onnxruntime/ort.js");
    const place = (name) => new URL(`onnxruntime/${name}`, import.meta.url).href;
    ort.env.wasm.wasmPaths = { mjs: place("ort-wasm.js"), wasm: place("ort-wasm.wasm") };
    ort.env.wasm.numThreads = 1;
    // The page decides, not this thread.
    model = await load(ort, new URL(directory, import.meta.url), { calibrated: false });
    // The first run of a graph takes longer.
    await model.embedWindows([new Float32Array(model.window)]);
    return { description: model.description, precision: model.precision };
  },

  async hear({ channels, rate }) {
    return model.hear(channels, rate);
  },

  async start({ rate, hop }) {
    stream = model.stream({ sampleRate: rate, hop });
    asked = 0;
  },

  /** `embedding` is null where nothing new can be said. */
  async push({ samples }) {
    const completed = await stream.push(samples);
    const due = completed > 0 || (stream.windows === 0 && stream.numSamples - asked >= stream.hop);
    if (due) asked = stream.numSamples;
    return { ...state(), latest: completed ? stream.latest : null, embedding: due ? await soFar() : null };
  },

  async finish() {
    await stream.finish();
    if (stream.numSamples && stream.quality.seconds === 0) throw new AudioError("no speech", QUIET);
    return { ...state(), embedding: await stream.embedding() };
  },
};

function state() {
  const { numSamples, quality, doubts } = stream;
  return { seconds: numSamples / model.sampleRate, quality, doubts };
}

/** The embedding of what has come; null where there is nothing in it yet. */
async function soFar() {
  try {
    return await stream.embedding({ tail: false });
  } catch {
    return null;
  }
}

let queue = Promise.resolve();

addEventListener("message", ({ data: { id, call, args } }) => {
  queue = queue.then(async () => {
    const began = performance.now();
    try {
      const result = await calls[call](args);
      const memory = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
      postMessage({ id, result, took: (performance.now() - began) / 1000, memory });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
});
