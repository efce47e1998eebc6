// Where a cosine lies on the page's bars and charts.

const LOWEST = -0.2;
const HIGHEST = 1;

/** A cosine's place as a share of the width or height, from 0 to 1; what lies outside is put at the edge. */
export function place(cosine) {
  return (Math.min(HIGHEST, Math.max(LOWEST, cosine)) - LOWEST) / (HIGHEST - LOWEST);
}

export const percent = (share) => `${(100 * share).toFixed(2)}%`;
