-- Join tokens (src/attest/, docs/REGISTRY.md). No secret is here.
CREATE TABLE join_token (
  id TEXT NOT NULL PRIMARY KEY,
  -- SHA-256 of the secret.
  secret_hash BLOB NOT NULL,
  agent TEXT NOT NULL,
  workflow TEXT,
  -- JSON array of texts, in order.
  scopes TEXT NOT NULL,
  -- JSON object of texts, for the instances that it lets in.
  labels TEXT NOT NULL,
  -- The instance that made it, when an instance did.
  parent TEXT,
  -- Certificates of what it lets in end then, too.
  attested_until BIGINT,
  uses BIGINT NOT NULL,
  used BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  -- Caller id.
  created_by TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  last_used_at BIGINT
) WITHOUT ROWID;

CREATE INDEX join_token_by_agent ON join_token (agent, id);

-- What an instance made: what it may list.
CREATE INDEX join_token_by_parent ON join_token (parent, id) WHERE parent IS NOT NULL;
