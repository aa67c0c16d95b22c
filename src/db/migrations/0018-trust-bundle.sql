-- The bundle of the trust domain as it is published (src/ca/trust-bundle.ts, docs/FEDERATION.md): one row.
CREATE TABLE trust_bundle (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- spiffe_sequence. Only grows, also after an older backup was put in place.
  sequence BIGINT NOT NULL,
  published_at BIGINT NOT NULL,
  -- The members of "keys", JSON array.
  keys TEXT NOT NULL
);
