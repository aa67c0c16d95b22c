-- Keys and authorities (src/keys/, src/ca/, docs/HIERARCHY.md).

-- One row: what tells a wrong passphrase, and how often the passphrase was changed.
CREATE TABLE keyring (
  id BIGINT NOT NULL PRIMARY KEY,
  -- From 1, one more with each change of passphrase. A key sealed under another generation is not added.
  generation BIGINT NOT NULL,
  -- Nothing, sealed: it opens under the right passphrase alone (src/keys/sealed.ts).
  proof BLOB NOT NULL,
  changed_at BIGINT NOT NULL
);

-- Private keys of authorities and of the ledger, sealed under the key-encryption key of the keyring.
CREATE TABLE sealed_key (
  id TEXT NOT NULL PRIMARY KEY,
  -- Part of what it is sealed to: 'authority', 'ledger'.
  purpose TEXT NOT NULL,
  -- Signature algorithm, e.g. 'ecdsa-p256-sha256'.
  algorithm TEXT NOT NULL,
  -- DER SubjectPublicKeyInfo.
  spki BLOB NOT NULL,
  sealed BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- One row: what was decided when the installation was made, and where the root is.
CREATE TABLE hierarchy (
  id BIGINT NOT NULL PRIMARY KEY,
  trust_domain TEXT NOT NULL,
  -- Kind of key of new authorities, e.g. 'ecdsa-p256'.
  algorithm TEXT NOT NULL,
  -- 'online' (key in sealed_key), 'offline' (key in a file elsewhere) or 'external' (somebody else's root).
  root TEXT NOT NULL,
  -- DER of the NameConstraints that every authority carries.
  name_constraints BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- Rows stay, so that chains of old certificates can be built.
CREATE TABLE authority (
  id TEXT NOT NULL PRIMARY KEY,
  -- 'root', 'upstream' (of somebody else, between their root and us), 'intermediate' or 'issuing'.
  kind TEXT NOT NULL,
  -- 'next', 'active' or 'retired'.
  state TEXT NOT NULL,
  -- Content octets of the serial number.
  serial BLOB NOT NULL,
  certificate BLOB NOT NULL,
  -- Id of the authority above; null for the root.
  issuer TEXT,
  -- Id in sealed_key; null when the key is elsewhere, not ours, or deleted.
  key_id TEXT,
  -- Milliseconds; those of the certificate.
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  -- A certificate is recorded only if it was issued at or before this time: for an active authority its end, for a
  -- retired one a few minutes after its successor took over, for the next one 0.
  signs_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  -- Ledger index of the entry that holds the certificate.
  leaf BIGINT NOT NULL
);

CREATE INDEX authority_by_state ON authority (kind, state);

-- The intermediate that waits for a signature of somebody else's root. At most one row.
CREATE TABLE authority_request (
  id BIGINT NOT NULL PRIMARY KEY,
  -- The id that the authority will have, and its key in sealed_key.
  authority TEXT NOT NULL,
  key_id TEXT NOT NULL,
  csr BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- The newest revocation list of each authority.
CREATE TABLE authority_crl (
  authority TEXT NOT NULL PRIMARY KEY,
  -- Grows with each list of an authority.
  number BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  next_update BIGINT NOT NULL,
  crl BLOB NOT NULL,
  leaf BIGINT NOT NULL
);

-- What leaf certificates may look like (src/ca/profile.ts).
CREATE TABLE profile (
  name TEXT NOT NULL PRIMARY KEY,
  -- From 1, one more with each change.
  version BIGINT NOT NULL,
  -- JSON.
  profile TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  leaf BIGINT NOT NULL
);
