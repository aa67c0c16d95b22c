-- What revocation lists are made of (src/ca/revoked.ts, src/ca/shard.ts, docs/STATUS.md).

-- The shards of the lists: each certificate that can be revoked names one, with about 5000 others of its issuer.
CREATE TABLE crl_shard (
  -- Random, safe in a URL. It stands in the certificates.
  id TEXT NOT NULL PRIMARY KEY,
  -- Id of the authority that signs its certificates and its lists.
  issuer TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE INDEX crl_shard_issuer ON crl_shard (issuer);

-- Every certificate that is revoked or held, until it may leave the lists. What was released stays as such, for deltas.
CREATE TABLE revoked (
  serial BLOB NOT NULL PRIMARY KEY,
  issuer TEXT NOT NULL,
  -- Null where the certificate names none.
  shard TEXT,
  -- CRLReason of RFC 5280: 6 is held, 8 released.
  reason BIGINT NOT NULL,
  -- Milliseconds: since when, and when the certificate ends.
  at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  -- Rises with every change of a row, in the order of commit: lists follow it.
  sequence BIGINT NOT NULL
);

CREATE UNIQUE INDEX revoked_sequence ON revoked (sequence);
CREATE INDEX revoked_shard ON revoked (shard, sequence);
CREATE INDEX revoked_issuer ON revoked (issuer, sequence);
CREATE INDEX revoked_expires ON revoked (expires_at);

-- The newest list of each shard, with its delta, and of each issuing authority as a whole.
CREATE TABLE crl_list (
  -- Id of the shard, or of the authority.
  id TEXT NOT NULL PRIMARY KEY,
  -- Rises with each list; base and delta have one and the same.
  number BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  next_update BIGINT NOT NULL,
  -- When it is signed again though nothing changed; null: not before somebody asks for it.
  refresh_at BIGINT,
  -- The last change of `revoked` that is in it.
  sequence BIGINT NOT NULL,
  -- The last list that was signed on schedule, and the last change in it: what expired before that has left.
  scheduled_at BIGINT NOT NULL,
  scheduled_number BIGINT NOT NULL,
  scheduled_sequence BIGINT NOT NULL,
  -- The list that the delta adds to.
  base_number BIGINT NOT NULL,
  base_sequence BIGINT NOT NULL,
  -- DER. No delta for an authority.
  crl BLOB NOT NULL,
  delta BLOB
);

CREATE INDEX crl_list_refresh ON crl_list (refresh_at);

-- In every partition of the certificates that there is; new ones have it from the start.
ALTER TABLE {partition:certificate} ADD COLUMN shard TEXT;

INSERT INTO revoked (serial, issuer, shard, reason, at, expires_at, sequence)
  SELECT serial, issuer, shard, reason, revoked_at, expires_at,
    leaf + (SELECT COALESCE(MAX(sequence), 0) + 1 FROM revoked)
  FROM {partition:certificate} WHERE revoked_at IS NOT NULL;

UPDATE profile SET profile = REPLACE(profile, '"none-yet"', '"revocable"');
