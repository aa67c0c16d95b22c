-- Rotation and revocation of the authorities of further trust domains (src/ca/domain/, docs/FEDERATION.md).
-- spiffe_sequence of the bundle. Only grows.
ALTER TABLE domain ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0;
UPDATE domain SET sequence = (SELECT MAX(created_at) FROM domain_authority a
  WHERE a.trust_domain = domain.trust_domain AND a.kind = 'root');

-- 'next': a root that is published and signs nothing yet; 'active'; 'retired': signs lists alone; 'ended': its key is deleted,
-- and a root is published no more. What is subordinate is 'active' until it is 'ended' by revocation.
ALTER TABLE domain_authority ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
-- Milliseconds: when a root that is 'next' takes over.
ALTER TABLE domain_authority ADD COLUMN signs_from BIGINT;
-- Milliseconds, and the cause (src/ca/revocation-cause.ts).
ALTER TABLE domain_authority ADD COLUMN revoked_at BIGINT;
ALTER TABLE domain_authority ADD COLUMN cause TEXT;
UPDATE domain_authority SET state = 'ended' WHERE kind <> 'subordinate'
  AND trust_domain IN (SELECT trust_domain FROM domain WHERE state = 'closed');
