-- Which table holds the rows of which time (db/partition.ts). The partitions of a family cover all time without gaps:
-- number n holds [starts_at(n), starts_at(n + 1)), the newest is open-ended.
CREATE TABLE partition (
  family TEXT NOT NULL,
  -- From 1. The table is called <family>_p<number>.
  number BIGINT NOT NULL,
  -- Milliseconds. The first partition of a family starts at 0.
  starts_at BIGINT NOT NULL,
  -- Not before the latest `expires` of any row, in milliseconds.
  keep_until BIGINT NOT NULL,
  -- 1 once the table was dropped. The row stays, so that its time is known to be past retention.
  dropped BIGINT NOT NULL,
  -- The family's revision at its last change.
  revision BIGINT NOT NULL,
  PRIMARY KEY (family, number)
);

CREATE INDEX partition_revision ON partition (family, revision);

-- Grows by one with each change of the family's map, which locks this row: so changes become visible in the order of
-- their revisions, and who has seen one has seen all before it.
CREATE TABLE partition_family (
  family TEXT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
);
