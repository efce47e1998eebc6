// Who is enrolled: in the memory of the page, and in the browser's storage where that is asked for.

import { enrol } from "./svmixer/svmixer.js";

const DATABASE = "svmixer";
const STORE = "people";

export class People {
  /** @param {string} model digest of the model's graph: embeddings of different models cannot be compared */
  constructor(model) {
    this.model = model;
    this.kept = false;
    this._people = new Map();
  }

  /** Everybody, in the order of enrolment: name, embedding, and what was measured of each recording. */
  list() {
    return [...this._people.values()].map(({ name, recordings }) => ({
      name,
      embedding: enrol(recordings.map(({ embedding }) => embedding)),
      qualities: recordings.map(({ quality }) => quality),
      doubts: recordings.flatMap(({ doubts }) => doubts.map((doubt) => `${name}: ${doubt}`)),
    }));
  }

  /** One recording more of somebody: what `Model.hear` gives. */
  async add(name, { embedding, quality, doubts }) {
    const { recordings } = this._people.get(name) ?? { recordings: [] };
    const person = { name, model: this.model, recordings: [...recordings, { embedding, quality, doubts }] };
    // First: what cannot be kept is not enrolled.
    if (this.kept) await this._write((store) => store.put(person));
    this._people.set(name, person);
  }

  async remove(name) {
    if (this.kept) await this._write((store) => store.delete([this.model, name]));
    this._people.delete(name);
  }

  /** Everybody, also those of other models that are kept. */
  async clear() {
    if (this.kept) await this._write((store) => store.clear());
    this._people.clear();
  }

  /** Keep everybody in the browser's storage from now on; or nobody, whichever model they are of. */
  async keep(wanted) {
    await this._write((store) => {
      if (wanted) this._people.forEach((person) => store.put(person));
      else store.clear();
    });
    this.kept = wanted;
  }

  /** Take those whom an earlier visit has kept. */
  async restore() {
    const people = await this._transact("readonly", (store) => store.getAll());
    const known = people.filter(({ model }) => model === this.model);
    known.forEach((person) => this._people.set(person.name, person));
    this.kept = people.length > 0;
  }

  _write(change) {
    return this._transact("readwrite", change);
  }

  async _transact(mode, action) {
    const database = await open();
    try {
      const transaction = database.transaction(STORE, mode);
      const request = action(transaction.objectStore(STORE));
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      return request?.result;
    } finally {
      database.close();
    }
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 2);
    request.onupgradeneeded = ({ oldVersion }) => {
      // Of those whom version 1 kept nobody knows how good their recordings were.
      if (oldVersion === 1) request.result.deleteObjectStore(STORE);
      request.result.createObjectStore(STORE, { keyPath: ["model", "name"] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
