/** Where a list's delta lies (RFC 5280 §5.2.6); encoded as CRL distribution points are, never critical, never in a delta. */
export const FRESHEST_CRL = '2.5.29.46';
