// What decides: an operating point of the model's calibration, or a threshold for the cosine.

const COSINE = "cosine"; // the choice of the latter, where there is a calibration

const find = (id) => document.getElementById(id);

/**
 * Fill the controls.
 * @param {{calibration: Calibration|null, threshold: number|null}} model
 * @param {() => void} changed called when somebody chooses
 * @returns {() => object} the choice, as options of `identify`
 */
export function setUpCriterion(model, changed) {
  const select = find("operating-point");
  const threshold = setUpThreshold(model.threshold, changed);
  const names = model.calibration?.maps.get(0).points ?? new Map();
  for (const [name, { falseAccepts }] of names) {
    select.add(new Option(`${name}: ${Number((100 * falseAccepts).toPrecision(2))} % false accepts`, name));
  }
  select.add(new Option("a threshold for the cosine", COSINE));
  const show = () => {
    find("threshold-field").hidden = select.value !== COSINE;
    find("point-hint").hidden = select.value === COSINE;
  };
  find("point-field").hidden = names.size === 0;
  select.addEventListener("change", () => {
    show();
    changed();
  });
  show();
  return () => (select.value === COSINE ? { threshold: threshold() } : { operatingPoint: select.value });
}

/** The cosine in force, as a function; null where there is none. */
function setUpThreshold(own, changed) {
  const input = find("threshold");
  const shown = own === null ? "" : own.toFixed(4);
  const read = () => {
    const usable = input.value !== "" && input.checkValidity();
    input.setAttribute("aria-invalid", `${input.value !== "" && !usable}`);
    // The input shows four digits of the model's own.
    return usable && input.value !== shown ? Number(input.value) : own;
  };
  input.step = "any";
  input.value = shown;
  input.addEventListener("input", changed);
  find("threshold-reset").addEventListener("click", () => {
    input.value = shown;
    changed();
  });
  return read;
}
