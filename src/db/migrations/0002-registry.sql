-- Who exists (src/registry/, docs/REGISTRY.md).

-- Teams that answer for agents. 'gone' means that nothing more is issued for their agents.
CREATE TABLE owner (
  team TEXT NOT NULL PRIMARY KEY,
  -- 'active' or 'gone'.
  status TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Agents and services, in one space of names. Rows stay for ever, so that no name is used twice.
CREATE TABLE agent (
  name TEXT NOT NULL PRIMARY KEY,
  -- 'agent' or 'service'.
  kind TEXT NOT NULL,
  team TEXT NOT NULL,
  -- A person: in clear here alone; the ledger has SHA-256(sponsor_salt || sponsor).
  sponsor TEXT NOT NULL,
  sponsor_salt BLOB NOT NULL,
  purpose TEXT NOT NULL,
  environment TEXT NOT NULL,
  -- Empty where not stated.
  model_provider TEXT NOT NULL,
  model_name TEXT NOT NULL,
  model_version TEXT NOT NULL,
  -- JSON object of texts, keys in order; agent_label is its index.
  labels TEXT NOT NULL,
  profile TEXT NOT NULL,
  -- 'active', 'quarantined' or 'retired'.
  status TEXT NOT NULL,
  -- Counts changes from 1; what was decided on one version is not committed on another.
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE INDEX agent_by_team ON agent (team, name);

CREATE TABLE agent_label (
  label TEXT NOT NULL,
  value TEXT NOT NULL,
  agent TEXT NOT NULL,
  PRIMARY KEY (label, value, agent)
) WITHOUT ROWID;

-- For replacing the labels of one agent.
CREATE INDEX agent_label_by_agent ON agent_label (agent);

-- Running copies. Ids begin with the time, so rows are added at the right edge. Rows stay: ids are never used twice.
CREATE TABLE instance (
  id TEXT NOT NULL PRIMARY KEY,
  agent TEXT NOT NULL,
  -- 'active' or 'stopped'.
  status TEXT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  stopped_at BIGINT,
  first_serial BLOB NOT NULL,
  latest_serial BLOB NOT NULL,
  -- Kind of evidence, e.g. 'join-token', and what it was, e.g. the token's id.
  attestation TEXT NOT NULL,
  reference TEXT NOT NULL,
  -- What it was enrolled on ends then, and so does every certificate.
  attested_until BIGINT,
  -- The instance that let it in.
  parent TEXT,
  -- Go into every certificate's extension; they can only lose members.
  workflow TEXT,
  -- JSON array of texts, in order.
  scopes TEXT NOT NULL,
  -- JSON object of texts.
  labels TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX instance_by_agent ON instance (agent, id);

-- Public keys of unexpired certificates, so that none serves two instances.
CREATE TABLE key_in_use (
  -- SHA-256 of the DER SubjectPublicKeyInfo.
  spki_hash BLOB NOT NULL PRIMARY KEY,
  -- Instance id, 'operator:<name>' or 'server'; 'blocked' when nobody may use it again.
  holder TEXT NOT NULL,
  keep_until BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX key_in_use_by_time ON key_in_use (keep_until);

-- Rows stay for ever, so that no name is used twice.
CREATE TABLE operator (
  name TEXT NOT NULL PRIMARY KEY,
  -- 'active' or 'removed'.
  status TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  removed_at BIGINT
);

CREATE TABLE operator_certificate (
  operator TEXT NOT NULL,
  serial BLOB NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (operator, serial)
) WITHOUT ROWID;
