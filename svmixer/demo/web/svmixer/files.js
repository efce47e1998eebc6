// Files of an export directory: at an address, or in Node also at a path.

/**
 * The bytes of a file.
 * @param {string} place address or path
 * @param {{optional?: boolean}} options optional: null where there is no such file
 * @returns {Promise<Uint8Array|null>}
 * @throws {Error} it cannot be read; the message names it
 */
export async function readBytes(place, { optional = false } = {}) {
  if (typeof process !== "undefined" && process.versions?.node && !/^https?:/.test(place)) {
    const { readFile } = await import("node:fs/promises");
    try {
      return new Uint8Array(await readFile(place.startsWith("file:") ? new URL(place) : place));
    } catch (error) {
      if (optional && error.code === "ENOENT") return null;
      throw error;
    }
  }
  const answer = await fetch(place);
  if (optional && answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${place}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** A directory's path or address, ready for the name of a file behind it. */
export function folder(directory) {
  return `${directory}`.replace(/\/?$/, "/");
}
