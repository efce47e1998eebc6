// The power spectrum of short frames of any length.

export class Spectrum {
  /** @param {number} size samples of a frame */
  constructor(size) {
    this._size = size;
    const angles = Float64Array.from({ length: size }, (_, n) => (-2 * Math.PI * n) / size);
    this._cos = angles.map(Math.cos);
    this._sin = angles.map(Math.sin);
    this._real = new Float64Array(size);
    this._imaginary = new Float64Array(size);
    this._terms = [new Float64Array(size), new Float64Array(size)];
  }

  /**
   * Squared magnitudes of the frequencies from zero to the Nyquist frequency.
   * @param {Float64Array} frame
   * @returns {Float64Array} of ⌊size / 2⌋ + 1 values
   */
  powers(frame) {
    this._transform(frame, 0, 1, this._size, 0);
    const power = (_, n) => this._real[n] ** 2 + this._imaginary[n] ** 2;
    return Float64Array.from({ length: Math.floor(this._size / 2) + 1 }, power);
  }

  /** The transform of every `stride`-th of the samples, `count` of them, into the results from `at` on. */
  _transform(frame, start, stride, count, at) {
    if (count === 1) {
      this._real[at] = frame[start];
      this._imaginary[at] = 0;
      return;
    }
    const parts = smallestFactor(count);
    const length = count / parts;
    for (let part = 0; part < parts; part++) {
      this._transform(frame, start + part * stride, stride * parts, length, at + part * length);
    }
    const [real, imaginary] = this._terms;
    for (let n = 0; n < length; n++) {
      for (let part = 0; part < parts; part++) {
        real[part] = this._real[at + part * length + n];
        imaginary[part] = this._imaginary[at + part * length + n];
      }
      for (let block = 0; block < parts; block++) {
        const target = block * length + n;
        let [sum, other] = [0, 0];
        for (let part = 0; part < parts; part++) {
          const turn = (part * target * stride) % this._size;
          sum += real[part] * this._cos[turn] - imaginary[part] * this._sin[turn];
          other += real[part] * this._sin[turn] + imaginary[part] * this._cos[turn];
        }
        this._real[at + target] = sum;
        this._imaginary[at + target] = other;
      }
    }
  }
}

function smallestFactor(count) {
  for (let factor = 2; factor * factor <= count; factor++) {
    if (count % factor === 0) return factor;
  }
  return count;
}
