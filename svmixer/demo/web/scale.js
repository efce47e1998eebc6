// Where a score lies on the page's bars and charts.

const COSINES = [-0.2, 1];
const RATIOS = [-8, 16]; // log-likelihood ratios

/** What people are ranked by: the log-likelihood ratio, or without one the cosine. */
export const likeliness = ({ ratio, score }) => ratio ?? score;

/**
 * A score's place as a share of the width or height, from 0 to 1; what lies outside is put at the edge.
 * @param {number} value
 * @param {boolean} isRatio whether it is a log-likelihood ratio, else a cosine
 */
export function place(value, isRatio) {
  const [lowest, highest] = isRatio ? RATIOS : COSINES;
  return (Math.min(highest, Math.max(lowest, value)) - lowest) / (highest - lowest);
}

export const percent = (share) => `${(100 * share).toFixed(2)}%`;
