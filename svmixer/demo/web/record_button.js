// A button that listens to the microphone until it is pressed again.

import { listen } from "./microphone.js";
import { showLevel } from "./view.js";

export class RecordButton {
  /**
   * @param {Engine} engine
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} bar that shows the level
   * @param {object} options
   * @param {number} options.hop samples at the model's rate from one window to the next
   * @param {() => boolean} options.ready whether to begin, asked when the button is pressed
   * @param {(state: object) => void} options.onState see `listen`
   * @param {(result: object) => void} options.onResult of the whole
   * @param {(error: Error) => void} options.onError nothing comes of it
   * @param {(listening: boolean) => void} options.onChange the microphone is opened, or closed
   */
  constructor(engine, button, bar, options) {
    Object.assign(this, { _engine: engine, _button: button, _bar: bar, _options: options });
    this._words = button.textContent;
    this._stop = null;
    button.addEventListener("click", () => (this._stop ? this._finish() : this._begin()));
  }

  async _begin() {
    if (!this._options.ready()) return;
    this._disable();
    this._options.onChange(true);
    try {
      this._stop = await listen(this._engine, {
        hop: this._options.hop,
        onState: this._options.onState,
        onLevel: (level) => showLevel(this._bar, level),
        onError: (error) => this._fail(error),
      });
      this._show("Stop");
    } catch (error) {
      this._fail(error);
    }
  }

  async _finish() {
    const stop = this._stop;
    this._stop = null;
    this._disable();
    let result;
    try {
      result = await stop();
    } catch (error) {
      this._fail(error);
      return;
    }
    this._close();
    try {
      await this._options.onResult(result);
    } catch (error) {
      this._options.onError(error);
    }
  }

  _fail(error) {
    this._stop = null;
    this._close();
    this._options.onError(error);
  }

  _close() {
    showLevel(this._bar, -Infinity);
    this._options.onChange(false);
    this._show(this._words);
  }

  /** Until `_show`; a disabled button loses the keyboard's focus. */
  _disable() {
    this._focused = document.activeElement === this._button;
    this._button.disabled = true;
  }

  _show(words) {
    this._button.textContent = words;
    this._button.classList.toggle("active", this._stop !== null);
    this._button.disabled = false;
    if (this._focused) this._button.focus();
    this._focused = false;
  }
}
