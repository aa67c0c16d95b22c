-- Certificates lie in partitions, whose tables are made as they are needed (src/ca/certificates.ts).

-- Instances and agents that are stopped, of which some certificates are not marked as revoked yet: a stop of many takes
-- several commits. Nearly always empty (src/ca/unfinished-stop.ts).
CREATE TABLE unfinished_stop (
  -- 'instance:<id>' or 'agent:<name>' (services, too).
  subject TEXT NOT NULL PRIMARY KEY,
  -- Milliseconds. From then on none of its certificates is valid, whatever their rows say.
  stopped_at BIGINT NOT NULL,
  cause TEXT NOT NULL,
  -- Caller id.
  stopped_by TEXT NOT NULL
);

-- Revocations that were recorded again from the anchor after an older database was put in place, of certificates that
-- this database does not know.
CREATE TABLE lost_certificate (
  serial BLOB NOT NULL PRIMARY KEY,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  reason BIGINT NOT NULL,
  cause TEXT NOT NULL
);
