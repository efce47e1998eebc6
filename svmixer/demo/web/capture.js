// Runs on the audio thread: hands the microphone's samples to the page in pieces.

const PIECE = 2048;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._piece = new Float32Array(PIECE);
    this._filled = 0;
  }

  process([[samples]]) {
    for (let taken = 0; samples && taken < samples.length; ) {
      const part = samples.subarray(taken, taken + PIECE - this._filled);
      this._piece.set(part, this._filled);
      this._filled += part.length;
      taken += part.length;
      if (this._filled === PIECE) {
        this.port.postMessage(this._piece, [this._piece.buffer]);
        this._piece = new Float32Array(PIECE);
        this._filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
