/** A stop has to have taken effect everywhere this long after it was acknowledged, in milliseconds. */
export const CANARY_LIMIT_MS = 5000;
