-- JSON array of the DNS names that certificates of an agent or service may carry beside its own (src/policy/guard/names.ts).
ALTER TABLE agent ADD COLUMN dns_names TEXT NOT NULL DEFAULT '[]';
