-- What was stopped, held or released, for relying parties to follow (src/status/feed-tail.ts, docs/FEED.md). Written with
-- the ledger entry that it is about, and in the order of the log.
CREATE TABLE revocation_feed (
  -- Index of the entry.
  leaf INTEGER PRIMARY KEY,
  -- Index of the first such entry of the same act, so that what one command stopped can be told together.
  act BIGINT NOT NULL,
  -- Type of the entry.
  type TEXT NOT NULL,
  -- When the act was prepared, milliseconds.
  at BIGINT NOT NULL,
  -- When nothing that it is about can be used any more in any case, milliseconds. The row may leave then.
  expires_at BIGINT NOT NULL,
  -- JSON array of subjects, `kind:id`.
  subjects TEXT NOT NULL
);

CREATE INDEX revocation_feed_by_expiry ON revocation_feed (expires_at);

-- The highest index that has left: whoever knows less must begin anew.
CREATE TABLE revocation_feed_floor (
  id BIGINT PRIMARY KEY,
  leaf BIGINT NOT NULL
);

INSERT INTO revocation_feed_floor (id, leaf) VALUES (1, 0);
