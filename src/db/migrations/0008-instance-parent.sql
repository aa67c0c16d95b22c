-- For stopping what a compromised instance let in (src/revocation/descendants.ts). Most instances were let in by nobody
-- but an operator and are not in it.
CREATE INDEX instance_by_parent ON instance (parent, id) WHERE parent IS NOT NULL;
