-- Further trust domains whose root this installation holds (src/ca/domain.ts, docs/FEDERATION.md).
CREATE TABLE domain (
  trust_domain TEXT NOT NULL PRIMARY KEY,
  -- 'active', or 'closed': nothing is signed any more, and its keys are deleted.
  state TEXT NOT NULL,
  -- What subordinate authorities may be, JSON; never changes.
  profile TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL
);
-- Their authorities. Rows stay.
CREATE TABLE domain_authority (
  id TEXT NOT NULL PRIMARY KEY,
  trust_domain TEXT NOT NULL,
  -- 'root', 'intermediate' (which signs subordinate ones), or 'subordinate' (whose key is somebody else's).
  kind TEXT NOT NULL,
  certificate BLOB NOT NULL,
  issuer TEXT,
  -- Milliseconds.
  not_after BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL
);
CREATE INDEX domain_authority_of ON domain_authority (trust_domain, kind, not_after);
