-- What is stopped, and what is held meanwhile (src/revocation/, docs/REVOCATION.md).

-- What is in quarantine now. Nearly always empty, which is what every look at standing asks first
-- (src/registry/hold.ts). A row goes when the stop is released, or when all that it covered is stopped for good.
CREATE TABLE hold (
  -- 'certificate', 'instance', 'agent' (services, too), 'owner', 'label' or 'authority'.
  kind TEXT NOT NULL,
  -- Serial number in hex, instance id, name, team, 'key=value', authority id.
  target TEXT NOT NULL,
  -- 1 when whatever the instances let in is held with them, full depth.
  descend BIGINT NOT NULL,
  -- For a label: how it reads in a JSON object. Empty otherwise.
  fragment TEXT NOT NULL,
  -- Id of the stop that put it here.
  stop TEXT NOT NULL,
  PRIMARY KEY (kind, target, descend)
) WITHOUT ROWID;

CREATE INDEX hold_by_stop ON hold (stop);

-- Every stop that was made through the cord. Rows stay: they are few, and say on whose authority.
CREATE TABLE stop (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  descend BIGINT NOT NULL,
  -- 'quarantined', 'revoking', 'revoked' or 'released'.
  state TEXT NOT NULL,
  -- 1 while certificates are yet to be held, released or revoked in bounded steps.
  unmarked BIGINT NOT NULL,
  cause TEXT NOT NULL,
  -- Caller id.
  stopped_by TEXT NOT NULL,
  -- JSON array: the rules that allowed it.
  authority TEXT NOT NULL,
  -- URL, or empty.
  evidence TEXT NOT NULL,
  stopped_at BIGINT NOT NULL,
  -- Who asked that it be a revocation; while it is 'quarantined' it waits for another person to confirm that.
  revocation_by TEXT,
  confirmed_by TEXT,
  confirmed_at BIGINT,
  released_by TEXT,
  released_at BIGINT
) WITHOUT ROWID;

CREATE INDEX stop_unmarked ON stop (id) WHERE unmarked = 1;

-- For answering a repeat of what is stopped already.
CREATE INDEX stop_by_target ON stop (kind, target, id);

-- For finding what a label of join tokens covers: most instances have none and are not in it.
CREATE INDEX instance_labelled ON instance (id) WHERE labels <> '{}';
