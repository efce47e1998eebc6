// Speaker embeddings, enrolment, verification and identification with a model that `svmixer export` wrote,
// with the numbers of the Python package, in a browser (onnxruntime-web) and in Node (onnxruntime-node or
// onnxruntime-web).
//
//     import * as ort from "onnxruntime-node";
//     import { load, enrol, verify } from "./svmixer.js";
//
//     const model = await load(ort, "exp/mine/export");
//     const known = [await model.hear(samples, sampleRate), await model.hear(others, sampleRate)];
//     const speaker = enrol(known.map(({ embedding }) => embedding));
//     const test = await model.hear(unknown, sampleRate);
//     const qualities = [known.map(({ quality }) => quality), [test.quality]];
//     console.log(verify(speaker, test.embedding, model, { qualities }));

export { STANDARD, isTelephone, probability, readCalibration } from "./calibration.js";
export { AudioError } from "./checks.js";
export { Model, load, readDescription } from "./model.js";
export { readNpy } from "./npy.js";
export { QualityMeter, littleSpeech, together } from "./quality.js";
export { Resampler, resample } from "./resample.js";
export { SpeechMeter } from "./speech.js";
export { speechParts } from "./speech_parts.js";
export { EmbeddingStream } from "./stream.js";
export { CLOSE, enrol, identify, verify } from "./verification.js";
export { PROTOCOLS, repeatPad, utteranceStarts } from "./windows.js";
