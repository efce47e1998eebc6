// The page's end of worker.js: calls as promises, and what they have cost.

export class Engine {
  constructor() {
    this.audioSeconds = 0;
    this.workSeconds = 0;
    this.memory = 0; // bytes
    this._waiting = new Map();
    this._failed = null; // why nothing is computed any more
    this._worker = new Worker("worker.js", { type: "module" });
    this._worker.addEventListener("message", ({ data }) => this._answer(data));
    this._worker.addEventListener("error", ({ message }) => this._fail(message || "its thread has ended"));
  }

  /** Computing time for a second of audio; null before there was any. */
  get realTimeFactor() {
    return this.audioSeconds > 0 ? this.workSeconds / this.audioSeconds : null;
  }

  /**
   * The result of one of worker.js's calls.
   * @param {string} call
   * @param {object} args
   * @param {Transferable[]} transfer buffers in `args` that need not be copied
   * @param {number} audioSeconds of the audio that this call is about
   */
  call(call, args = {}, transfer = [], audioSeconds = 0) {
    if (this._failed) return Promise.reject(new Error(this._failed));
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-");
    return new Promise((resolve, reject) => {
      this._waiting.set(id, { resolve, reject, audioSeconds });
      this._worker.postMessage({ id, call, args }, transfer);
    });
  }

  _answer({ id, result, error, took, memory }) {
    const { resolve, reject, audioSeconds } = this._waiting.get(id);
    this._waiting.delete(id);
    if (error !== undefined) {
      reject(new Error(error));
      return;
    }
    if (audioSeconds > 0) {
      this.audioSeconds += audioSeconds;
      this.workSeconds += took;
    }
    this.memory = memory;
    resolve(result);
  }

  _fail(message) {
    this._failed = message;
    for (const { reject } of this._waiting.values()) reject(new Error(message));
    this._waiting.clear();
  }
}
