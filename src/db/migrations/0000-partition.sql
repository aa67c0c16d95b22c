-- Which table holds the rows of which time (db/partition.ts). The partitions of a family cover all time without gaps:
-- number n holds [starts_at(n), starts_at(n + 1)), the newest is open-ended.
CREATE TABLE partition (
  family TEXT NOT NULL,
  number BIGINT NOT NULL,
  -- Milliseconds. The first partition of a family starts at 0.
  starts_at BIGINT NOT NULL,
  -- Rows written until now.
  row_count BIGINT NOT NULL,
  -- The latest `expires` of any row: what is left after this and the retention is nobody's any more.
  keep_until BIGINT NOT NULL,
  -- 1 once its table was dropped. The row stays, so that its time is known to be past retention.
  dropped BIGINT NOT NULL,
  PRIMARY KEY (family, number)
);
