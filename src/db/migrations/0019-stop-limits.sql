-- How much one caller stops, and how often (src/revocation/mass.ts, src/registry/stop-rate.ts).

-- Instances with a certificate in force that one person alone ended for ever with this stop; 0 where it was no person, or
-- another one confirmed it.
ALTER TABLE stop ADD COLUMN fallen BIGINT NOT NULL DEFAULT 0;

-- Who made it one for ever, and when: what they ended in the last minutes is added up with each further one.
CREATE INDEX stop_alone ON stop (COALESCE(confirmed_by, stopped_by), COALESCE(confirmed_at, stopped_at))
  WHERE fallen > 1;

-- Stops of the last minute, by caller. Those before go with the caller's next.
CREATE TABLE recent_stop (
  caller TEXT NOT NULL,
  -- Milliseconds.
  at BIGINT NOT NULL
);

CREATE INDEX recent_stop_by_caller ON recent_stop (caller, at);
