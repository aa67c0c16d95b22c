-- The ledger (src/ledger/, docs/LEDGER.md). The entries and the full tiles are the log; all else can be made from them.

-- One row: the head of the log, and the lock under which everything is committed.
CREATE TABLE ledger_head (
  -- Always 1.
  id INTEGER PRIMARY KEY,
  -- Number of the log in ledger_log.
  log BIGINT NOT NULL,
  -- Number of leaves.
  size BIGINT NOT NULL,
  -- MTH of the tree, 32 octets.
  root BLOB NOT NULL,
  -- Milliseconds of the latest commit. Never goes back.
  time BIGINT NOT NULL,
  -- Grows with every batch that changes anybody's standing. Never goes back.
  epoch BIGINT NOT NULL,
  -- The checkpoint of this size, signed with Ed25519.
  note TEXT NOT NULL
);

-- One row a leaf: the canonical JSON that was hashed.
CREATE TABLE ledger_entry (
  leaf INTEGER PRIMARY KEY,
  entry BLOB NOT NULL
);

-- Full tiles alone. The root stands before the hashes, so that reading roots (the partial tiles one level up) does not
-- touch the pages that the hashes spill into.
CREATE TABLE ledger_tile (
  level BIGINT NOT NULL,
  tile BIGINT NOT NULL,
  root BLOB NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (level, tile)
);

-- Checkpoints with both signatures: the latest, and about one an hour before it.
CREATE TABLE ledger_checkpoint (
  size INTEGER PRIMARY KEY,
  log BIGINT NOT NULL,
  time BIGINT NOT NULL,
  note TEXT NOT NULL
);

-- Which leaves speak of whom. Without the issues of certificates: the certificate row is their index.
CREATE TABLE ledger_subject (
  subject TEXT NOT NULL,
  leaf BIGINT NOT NULL,
  PRIMARY KEY (subject, leaf)
) WITHOUT ROWID;

-- Leaves that must also stand in the anchor, a row for each batch.
CREATE TABLE ledger_anchored (
  first_leaf INTEGER PRIMARY KEY,
  leaves BIGINT NOT NULL
);

-- The logs of this installation: one, unless a tail was lost for good. The newest is the one that grows.
CREATE TABLE ledger_log (
  log INTEGER PRIMARY KEY,
  -- Stands in the first line of its checkpoints.
  origin TEXT NOT NULL,
  -- The leaves before this one were taken over from the log before.
  first_leaf BIGINT NOT NULL,
  -- Verifier keys, one a line (C2SP signed-note).
  keys TEXT NOT NULL,
  -- The latest checkpoint known of the log before, when its tail was lost; else empty.
  lost TEXT NOT NULL
);
