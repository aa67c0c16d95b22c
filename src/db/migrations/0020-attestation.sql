-- Attestation (src/attest/, docs/ATTESTATION.md). No secret is here.

-- Configured sources of evidence.
CREATE TABLE attestor (
  name TEXT NOT NULL PRIMARY KEY,
  -- 'oidc', 'x509pop', 'k8s', 'aws', 'gcp', 'azure', 'tpm'.
  kind TEXT NOT NULL,
  -- JSON object, as src/wire/attestor.ts has it.
  parameters TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  -- Caller id.
  created_by TEXT NOT NULL
) WITHOUT ROWID;

-- What must be attested, and as which agent or service the bearer is let in. Rows never change.
CREATE TABLE registration_entry (
  id TEXT NOT NULL PRIMARY KEY,
  -- One of the two is there: whose evidence it is about, or the service whose instances see the workloads.
  attestor TEXT,
  node TEXT,
  agent TEXT NOT NULL,
  -- JSON array of 'name=value', in order.
  matchers TEXT NOT NULL,
  hint TEXT,
  workflow TEXT,
  -- JSON array of texts, in order.
  scopes TEXT NOT NULL,
  -- JSON object of texts.
  labels TEXT NOT NULL,
  lifetime_seconds BIGINT,
  -- JSON array of trust domains.
  federates_with TEXT NOT NULL,
  -- 'process' or 'node'.
  per TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX registration_entry_by_attestor ON registration_entry (attestor, id) WHERE attestor IS NOT NULL;
CREATE INDEX registration_entry_by_node ON registration_entry (node, id) WHERE node IS NOT NULL;
CREATE INDEX registration_entry_by_agent ON registration_entry (agent, id);

-- Counts what was created and removed, for those who ask again and again.
CREATE TABLE registration_revision (
  -- 'node:<service>' or 'attestor:<name>'.
  source TEXT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
) WITHOUT ROWID;

-- What an instance was let in on, where that was more than a join token. Rows stay like those of instances.
CREATE TABLE instance_evidence (
  instance TEXT NOT NULL PRIMARY KEY,
  -- 'oidc', 'x509pop' …, 'node', or 'join-token' where the runtime said something, too.
  kind TEXT NOT NULL,
  attestor TEXT,
  entry TEXT,
  -- SHA-256 of the evidence as it came.
  digest BLOB NOT NULL,
  -- JSON object: name to array of texts.
  facts TEXT NOT NULL,
  at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX instance_evidence_by_entry ON instance_evidence (entry, instance) WHERE entry IS NOT NULL;
CREATE INDEX instance_evidence_by_attestor ON instance_evidence (attestor, instance) WHERE attestor IS NOT NULL;

-- Evidence that lets in once.
CREATE TABLE used_evidence (
  -- SHA-256.
  digest BLOB NOT NULL PRIMARY KEY,
  -- It is refused for other reasons from then on.
  until BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX used_evidence_by_time ON used_evidence (until);
