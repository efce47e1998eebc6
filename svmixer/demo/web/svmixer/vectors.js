// Embeddings as vectors, and their sum over the windows of an utterance; as svmixer/inference/utterance.py.

// Mean square of a window, 60 dB below full scale, up to which it is silence between speech.
export const SILENT_POWER = 1e-6;

/** A vector scaled to length one; zero stays zero. */
export function unitLength(vector) {
  const length = Math.max(Math.sqrt(dot(vector, vector)), 1e-12);
  return Float32Array.from(vector, (value) => value / length);
}

/**
 * One embedding scaled to length one.
 * @throws {RangeError} zero, or values that are not finite
 */
export function unitVector(vector) {
  if (!vector.length || !vector.every(Number.isFinite) || !vector.some((value) => value !== 0)) {
    throw new RangeError("an embedding that is zero or not finite cannot be compared");
  }
  return unitLength(vector);
}

export function dot(one, two) {
  let sum = 0;
  for (let n = 0; n < one.length; n++) sum += one[n] * two[n];
  return sum;
}

/** Two arrays of samples, one behind the other. */
export function joined(one, two) {
  const both = new Float32Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}

/** The mean square of a window. */
export function windowPower(window) {
  return dot(window, window) / window.length;
}

/** The sum of an utterance's window embeddings; silence counts only where there is nothing else. */
export class SpeechSum {
  constructor() {
    this.count = 0;
    this.sounding = 0;
    this._total = null;
    this._soundingTotal = null;
  }

  /** One window: its embedding of unit length, and its mean square. */
  add(embedding, power) {
    this.count += 1;
    this._total = added(this._total, embedding);
    if (power > SILENT_POWER) {
      this.sounding += 1;
      this._soundingTotal = added(this._soundingTotal, embedding);
    }
  }

  /** The mean over windows with sound, or over all. */
  mean(allWindows = false) {
    const sound = this.sounding > 0 && !allWindows;
    const count = sound ? this.sounding : this.count;
    return (sound ? this._soundingTotal : this._total).map((value) => value / count);
  }

  copy() {
    const other = new SpeechSum();
    return Object.assign(other, this, {
      _total: this._total?.slice() ?? null,
      _soundingTotal: this._soundingTotal?.slice() ?? null,
    });
  }
}

/** In double precision, for an utterance may be of days. */
function added(sum, row) {
  const result = sum ?? new Float64Array(row.length);
  for (let n = 0; n < row.length; n++) result[n] += row[n];
  return result;
}
