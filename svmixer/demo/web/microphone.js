// The microphone: its samples as they come, and a stream of the model that takes them.

// What the browser does for calls changes voices, so it is switched off.
const AUDIO = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/**
 * Listen until the function that this returns is called; that one gives the result of the whole.
 * @param {Engine} engine
 * @param {object} options
 * @param {number} options.hop samples at the model's rate from one window to the next
 * @param {(state: object) => void} options.onState what worker.js says after each piece
 * @param {(level: number) => void} options.onLevel of the last piece, in dB of full scale
 * @param {(error: Error) => void} options.onError listening cannot go on
 * @returns {Promise<() => Promise<object>>}
 * @throws {Error} no microphone, or it may not be used
 */
export async function listen(engine, { hop, onState, onLevel, onError }) {
  const pieces = [];
  let working = Promise.resolve();
  let busy = true; // until the model's stream is there
  let stopped = false;
  const { rate, stop } = await open((piece) => {
    // What was on its way comes after the microphone is closed.
    if (stopped) return;
    onLevel(level(piece));
    pieces.push(piece);
    if (!busy) working = work();
  });

  async function work() {
    busy = true;
    try {
      while (pieces.length) {
        // Where the model is slower than the audio comes, several pieces go at once.
        const samples = joined(pieces.splice(0));
        onState(await engine.call("push", { samples }, [samples.buffer], samples.length / rate));
      }
    } catch (error) {
      stop();
      onError(error);
    }
    busy = false;
  }

  try {
    await engine.call("start", { rate, hop });
  } catch (error) {
    stop();
    throw error;
  }
  working = work();
  return async () => {
    stopped = true;
    stop();
    await working;
    return engine.call("finish");
  };
}

async function open(onPiece) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("the browser lends the microphone to pages from this computer or over https only");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: AUDIO }).catch((error) => {
    throw new Error(`the microphone cannot be used: ${error.message}`);
  });
  const context = new AudioContext();
  const stop = () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
  };
  try {
    await context.audioWorklet.addModule("capture.js");
    const options = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    const capture = new AudioWorkletNode(context, "capture", options);
    capture.port.addEventListener("message", ({ data }) => onPiece(data));
    capture.port.start();
    context.createMediaStreamSource(stream).connect(capture);
    await context.resume();
  } catch (error) {
    stop();
    throw error;
  }
  return { rate: context.sampleRate, stop };
}

function joined(pieces) {
  const all = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  pieces.reduce((at, piece) => (all.set(piece, at), at + piece.length), 0);
  return all;
}

function level(piece) {
  const power = piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length;
  return 10 * Math.log10(power + 1e-12);
}
