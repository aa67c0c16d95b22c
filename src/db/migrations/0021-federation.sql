-- Other trust domains that are believed (src/spiffe/federation.ts, docs/FEDERATION.md).
CREATE TABLE federation (
  trust_domain TEXT NOT NULL PRIMARY KEY,
  -- Where its bundle is fetched, by which profile, and whose SPIFFE ID the server there has.
  url TEXT NOT NULL,
  profile TEXT NOT NULL,
  endpoint_id TEXT,
  -- What was understood of the latest bundle, JSON; when and how it came.
  bundle TEXT,
  bundle_at BIGINT,
  source TEXT,
  -- When it is fetched next. Whoever fetches moves it first, so that of several processes one does.
  poll_at BIGINT NOT NULL,
  tried_at BIGINT,
  good_at BIGINT,
  fault TEXT,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  version BIGINT NOT NULL
);
CREATE INDEX federation_poll ON federation (poll_at);
