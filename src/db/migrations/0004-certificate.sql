-- Agents that were stopped for good while certificates of theirs were unexpired (src/revocation/). The certificates
-- themselves lie in partitions, whose tables are made as they are needed (src/ca/certificates.ts).
CREATE TABLE agent_stop (
  agent TEXT NOT NULL PRIMARY KEY,
  -- From here on no instance of it is anything, whatever the row of a certificate says.
  stopped_at BIGINT NOT NULL,
  -- CRLReason of RFC 5280, and our cause for it.
  reason BIGINT NOT NULL,
  cause TEXT NOT NULL,
  -- Caller id.
  stopped_by TEXT NOT NULL,
  -- When all of its instances and certificates had been marked.
  finished_at BIGINT
);

CREATE INDEX agent_stop_unfinished ON agent_stop (agent) WHERE finished_at IS NULL;
