// Speaker embeddings, enrolment and verification with a model that `svmixer export` wrote, with the numbers of
// the Python package, in a browser (onnxruntime-web) and in Node (onnxruntime-node or onnxruntime-web).
//
//     import * as ort from "onnxruntime-node";
//     import { load, enrol, verify } from "./svmixer.js";
//
//     const model = await load(ort, "exp/mine/export");
//     const speaker = enrol([await model.embed(samples, sampleRate), await model.embed(others, sampleRate)]);
//     console.log(verify(speaker, await model.embed(test, sampleRate), model));

export { AudioError } from "./checks.js";
export { Model, load, readDescription } from "./model.js";
export { Resampler, resample } from "./resample.js";
export { SpeechMeter } from "./speech.js";
export { EmbeddingStream } from "./stream.js";
export { CLOSE, decision, enrol, rank, verify } from "./verification.js";
export { PROTOCOLS, repeatPad, utteranceStarts } from "./windows.js";
