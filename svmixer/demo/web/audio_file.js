// Audio files as samples. The browser decodes at the rate that the file has, and the module resamples: the
// browser's own resampling would change what the model hears.

const FALLBACK = 48000; // where the file does not say it in a known way
const MP3_RATES = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };

/**
 * Every channel of a file, and its rate in Hz.
 * @param {File} file
 * @returns {Promise<{channels: Float32Array[], rate: number}>}
 * @throws {Error} nothing that this browser can decode
 */
export async function decode(file) {
  const data = await file.arrayBuffer();
  const context = contextAt(rateOf(new Uint8Array(data)) ?? FALLBACK);
  const buffer = await context.decodeAudioData(data).catch(() => {
    throw new Error("not audio that this browser can decode");
  });
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n));
  return { channels, rate: buffer.sampleRate };
}

function contextAt(rate) {
  try {
    return new OfflineAudioContext(1, 1, rate);
  } catch {
    return new OfflineAudioContext(1, 1, FALLBACK);
  }
}

/** The sampling rate that a WAV, FLAC, Ogg or MP3 file states; null for other files. */
export function rateOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
  try {
    if (text(0, 4) === "RIFF" && text(8, 4) === "WAVE") return waveRate(view, text);
    if (text(0, 4) === "fLaC") return flacRate(view, 8);
    if (text(0, 4) === "OggS") return oggRate(view, text);
    return mp3Rate(bytes, text);
  } catch (error) {
    if (error instanceof RangeError) return null; // cut short
    throw error;
  }
}

function waveRate(view, text) {
  let at = 12;
  while (text(at, 4) !== "fmt ") at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) % 2);
  return view.getUint32(at + 12, true);
}

/** Of a block of stream information that begins at `at`. */
function flacRate(view, at) {
  return view.getUint32(at + 10) >>> 12;
}

function oggRate(view, text) {
  const at = 27 + view.getUint8(26);
  if (text(at, 8) === "OpusHead") return 48000;
  if (text(at, 7) === "\x01vorbis") return view.getUint32(at + 12, true);
  if (text(at, 5) === "\x7fFLAC") return flacRate(view, at + 17);
  return null;
}

function mp3Rate(bytes, text) {
  let at = 0;
  if (text(0, 3) === "ID3") {
    at = 10 + bytes.subarray(6, 10).reduce((size, byte) => size * 128 + byte, 0);
  }
  if (bytes[at] !== 0xff || (bytes[at + 1] & 0xe6) !== 0xe2) return null; // layer III alone
  return MP3_RATES[(bytes[at + 1] >> 3) & 3]?.[(bytes[at + 2] >> 2) & 3] ?? null;
}
