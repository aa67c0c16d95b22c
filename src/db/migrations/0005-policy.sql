-- Published policy sets (src/policy/, docs/POLICY.md). The one with the highest version is in force.
CREATE TABLE policy_set (
  version BIGINT NOT NULL PRIMARY KEY,
  -- Hex SHA-256 of the text.
  digest TEXT NOT NULL,
  text TEXT NOT NULL,
  -- Hex SHA-256 of the schema that it was validated against.
  schema_digest TEXT NOT NULL,
  published_at BIGINT NOT NULL,
  -- Caller id.
  published_by TEXT NOT NULL
);
