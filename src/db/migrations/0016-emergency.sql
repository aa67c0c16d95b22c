-- Emergency access and its review (src/registry/emergency.ts, src/approval/break-glass.ts, docs/APPROVALS.md).

-- When a request of the administrator takes effect although nobody agreed, unless somebody denies it; else null.
ALTER TABLE approval ADD COLUMN recovers_at BIGINT;

-- What took place outside the usual way, and is looked at by another person afterwards.
CREATE TABLE emergency (
  id TEXT NOT NULL PRIMARY KEY,
  -- 'break-glass': somebody had emergency access. 'recovery': an act without consent, after the waiting time.
  kind TEXT NOT NULL,
  -- The operator who has the access, and whose credential that is; who came back by a recovery.
  operator TEXT NOT NULL,
  person TEXT NOT NULL,
  purpose TEXT NOT NULL,
  approval TEXT NOT NULL,
  -- JSON: the people who agreed.
  people TEXT NOT NULL,
  began_at BIGINT NOT NULL,
  -- Over from this millisecond on, recorded or not.
  ends_at BIGINT NOT NULL,
  -- When the end is on record; null until then.
  ended_at BIGINT,
  -- Null until somebody has looked at it.
  reviewed_at BIGINT,
  reviewed_by TEXT,
  note TEXT
) WITHOUT ROWID;

CREATE INDEX emergency_by_end ON emergency (ended_at, ends_at);
CREATE INDEX emergency_by_review ON emergency (reviewed_at, id);

-- The default policy set of this version names the group "security". Where the set in force does not speak of it and it
-- has nobody, the officers are its first members, so that whoever publishes that set is not locked out of the cord.
INSERT INTO group_member (group_name, person, added_at)
  SELECT 'security', person, added_at FROM group_member
  WHERE group_name = 'ca-officers'
    AND NOT EXISTS (SELECT 1 FROM group_member WHERE group_name = 'security')
    AND NOT EXISTS (
      SELECT 1 FROM policy_set
      WHERE version = (SELECT MAX(version) FROM policy_set) AND text LIKE '%"security"%'
    );
