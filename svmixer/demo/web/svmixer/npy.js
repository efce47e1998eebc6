// numpy's files of one array, as far as an export has them: two dimensions of 16- or 32-bit floats.

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const HEADER =
  /^\{'descr': '(<f2|<f4)', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$/;

/**
 * An array of two dimensions.
 * @param {Uint8Array} bytes of a .npy file: versions 1 to 3, '<f2' or '<f4', rows one after the other
 * @param {string} name of the file, for errors
 * @returns {Float32Array[]} its rows
 * @throws {Error} damaged, or another kind of array
 */
export function readNpy(bytes, name = "array.npy") {
  const refuse = (why) => {
    throw new Error(`${name}: not an array (rows, columns) of 16- or 32-bit floats: ${why}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || MAGIC.some((byte, n) => bytes[n] !== byte)) refuse("it is no .npy file");
  const version = bytes[6];
  if (version < 1 || version > 3) refuse(`version ${version} of the format`);
  const begin = version === 1 ? 10 : 12;
  const start = begin + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (start > bytes.length) refuse("it is cut short");
  const header = new TextDecoder().decode(bytes.subarray(begin, start));
  const found = HEADER.exec(header);
  if (!found) refuse(`its header is ${header.trim()}`);
  const [rows, columns] = [Number(found[2]), Number(found[3])];
  const size = found[1] === "<f2" ? 2 : 4;
  if (bytes.length - start !== rows * columns * size) {
    refuse(`${bytes.length - start} bytes of data, its header says ${rows * columns * size}`);
  }
  const read = size === 2 ? (at) => half(view.getUint16(at, true)) : (at) => view.getFloat32(at, true);
  return Array.from({ length: rows }, (_, row) =>
    Float32Array.from({ length: columns }, (_, column) => read(start + size * (row * columns + column))),
  );
}

/** The number that the 16 bits of a half-precision float stand for. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
