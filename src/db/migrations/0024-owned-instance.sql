-- Instances that an orchestrator runs in its own process, each by a name of the orchestrator's own (src/issuance/owned.ts).
-- Such a name is for one instance for ever, so that a lost answer can be asked for again.
CREATE TABLE owned_instance (
  parent TEXT NOT NULL,
  reference TEXT NOT NULL,
  instance TEXT NOT NULL,
  PRIMARY KEY (parent, reference)
) WITHOUT ROWID;
