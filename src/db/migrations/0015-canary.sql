-- How enforcement points fare whose canaries are stopped on a schedule (src/report/canary-store.ts, docs/CANARY.md): one row
-- for each, which does not grow with history.
CREATE TABLE canary (
  -- Whose instances measure, and the name they give the point.
  agent TEXT NOT NULL,
  point TEXT NOT NULL,
  -- Counts reports from 1.
  version BIGINT NOT NULL,
  -- The latest report as it came, JSON.
  report TEXT NOT NULL,
  -- Instance that reported it.
  runner TEXT NOT NULL,
  -- When its child was stopped, milliseconds of the server's clock. Rises.
  stopped_at BIGINT NOT NULL,
  reported_at BIGINT NOT NULL,
  last_success_at BIGINT,
  successes BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  inconclusive BIGINT NOT NULL,
  -- Of all successes, milliseconds.
  sum_ms BIGINT NOT NULL,
  -- Those of the latest, milliseconds, JSON array.
  latest TEXT NOT NULL,
  PRIMARY KEY (agent, point)
) WITHOUT ROWID;
