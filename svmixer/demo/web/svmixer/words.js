// Numbers in sentences, as Python writes them: what lies half-way between two goes to the even digit.

/** A number with so many digits behind the point. */
export function fixed(value, digits) {
  // Only a multiple of 1 / 2^(digits + 1) can lie half-way.
  const halves = Math.abs(value) * 2 ** (digits + 1);
  if (!Number.isInteger(halves) || halves % 2 === 0) return value.toFixed(digits);
  const below = Math.floor(Math.abs(value) * 10 ** digits);
  return ((Math.sign(value) * (below + (below % 2))) / 10 ** digits).toFixed(digits);
}

/** A number with at most so many digits that count, and no zeros at its end. */
export function general(value, digits = 6) {
  return `${Number(value.toPrecision(digits))}`;
}
