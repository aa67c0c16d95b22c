-- Who the operators are as people, and the consent of several of them (src/registry/person.ts, src/approval/,
-- docs/APPROVALS.md).

-- A person counts once, whatever certificates they hold. Rows stay for ever.
CREATE TABLE person (
  -- A name: lower-case letters, digits and dashes.
  id TEXT NOT NULL PRIMARY KEY,
  -- In clear here alone; the ledger has SHA-256(email_salt || email). Null where not stated.
  email TEXT,
  email_salt BLOB,
  created_at BIGINT NOT NULL
);

-- Whose credential it is.
ALTER TABLE operator ADD COLUMN person TEXT NOT NULL DEFAULT '';

INSERT INTO person (id, created_at) SELECT name, created_at FROM operator;
UPDATE operator SET person = name;

CREATE TABLE group_member (
  group_name TEXT NOT NULL,
  person TEXT NOT NULL,
  added_at BIGINT NOT NULL,
  PRIMARY KEY (group_name, person)
) WITHOUT ROWID;

-- Where there were no groups, whoever came first is the first officer.
INSERT INTO group_member (group_name, person, added_at)
  SELECT 'ca-officers', name, created_at FROM operator WHERE status = 'active' ORDER BY created_at, name LIMIT 1;

-- A request for consent to one exact act. Rows stay as long as the index does.
CREATE TABLE approval (
  id TEXT NOT NULL PRIMARY KEY,
  -- Caller id, and the person where it is an operator.
  requester TEXT NOT NULL,
  requester_person TEXT NOT NULL,
  action TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id TEXT NOT NULL,
  -- JSON: what policy was told of the resource and of the request.
  facts TEXT NOT NULL,
  -- RFC 8785: route and all parameters. The digest is SHA-256(salt || parameters).
  parameters TEXT NOT NULL,
  salt BLOB NOT NULL,
  digest BLOB NOT NULL,
  reason TEXT NOT NULL,
  -- What the rule of that policy version demanded when it was asked for.
  rule TEXT NOT NULL,
  needed BIGINT NOT NULL,
  group_name TEXT NOT NULL,
  policy_version BIGINT NOT NULL,
  -- 'pending', 'granted', 'denied', 'expired', 'withdrawn' or 'used'.
  status TEXT NOT NULL,
  -- Counts changes from 1, so that of two that decide at once one looks again.
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at BIGINT
) WITHOUT ROWID;

CREATE INDEX approval_by_status ON approval (status, id);
CREATE INDEX approval_by_requester ON approval (requester, status, id);

CREATE TABLE approval_decision (
  approval TEXT NOT NULL,
  person TEXT NOT NULL,
  operator TEXT NOT NULL,
  -- Of the certificate that was shown: revoked, it is no consent any more.
  serial BLOB NOT NULL,
  -- 'approved' or 'denied'.
  decision TEXT NOT NULL,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (approval, person)
) WITHOUT ROWID;

-- What is to be told to a URL of the configuration (src/approval/deliver.ts).
CREATE TABLE webhook_delivery (
  id TEXT NOT NULL PRIMARY KEY,
  approval TEXT NOT NULL,
  url TEXT NOT NULL,
  body TEXT NOT NULL,
  -- 'waiting', 'delivered' or 'dead'.
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  -- Not before then, in milliseconds; also how a process claims it.
  next_at BIGINT NOT NULL,
  last_error TEXT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX webhook_delivery_by_time ON webhook_delivery (state, next_at);
