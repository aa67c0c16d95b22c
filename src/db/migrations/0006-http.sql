-- Answers kept under an idempotency key, for 24 hours (src/http/idempotency.ts).
CREATE TABLE idempotency (
  -- SHA-256 of caller, route and key. The key itself is never stored: it opens answers of kind 'secret'.
  scope BLOB PRIMARY KEY,
  -- SHA-256 of target and body, by which another request under the same key is told.
  request BLOB NOT NULL,
  -- 'reference', 'value' or 'secret'.
  kind TEXT NOT NULL,
  answer BLOB NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
