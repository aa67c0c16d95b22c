-- Shared Signals (src/status/, docs/SHARED-SIGNALS.md).

-- Who is told of stops (OpenID SSF 1.0 §8.1).
CREATE TABLE signal_stream (
  id TEXT NOT NULL PRIMARY KEY,
  -- SPIFFE ID of the operator, or of the agent or service whose instances manage it.
  owner TEXT NOT NULL,
  audience TEXT NOT NULL,
  -- Empty where not given.
  description TEXT NOT NULL,
  -- 'push' or 'poll'.
  method TEXT NOT NULL,
  -- Where SETs are pushed to; empty for 'poll'.
  endpoint TEXT NOT NULL,
  -- Value of the Authorization header for pushing, sealed.
  authorization_sealed BLOB,
  -- JSON array of event type URIs as asked for.
  events_requested TEXT NOT NULL,
  -- 'enabled', 'paused' or 'disabled'.
  status TEXT NOT NULL,
  -- Empty where not given.
  reason TEXT NOT NULL,
  -- Counts changes from 1.
  version BIGINT NOT NULL,
  -- Stops with a smaller leaf are none of its business.
  from_leaf BIGINT NOT NULL,
  delivered BIGINT NOT NULL,
  delivered_at BIGINT,
  -- Of the last verification that was asked for.
  verified_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- SETs that are to be delivered, and those that could not be. What was delivered is taken out.
CREATE TABLE signal_event (
  stream TEXT NOT NULL,
  -- Rises within a stream: the order of delivery.
  number BIGINT NOT NULL,
  jti TEXT NOT NULL,
  -- The claims as JSON; signed anew for each attempt.
  claims TEXT NOT NULL,
  -- 'waiting' or 'dead'.
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  -- Not tried before.
  next_at BIGINT NOT NULL,
  -- Why the last attempt failed; empty before the first.
  fault TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (stream, number)
) WITHOUT ROWID;

CREATE UNIQUE INDEX signal_event_by_jti ON signal_event (stream, jti);

-- One row: how far the feed of stops was taken over, and which process takes over and pushes.
CREATE TABLE signal_work (
  id BIGINT NOT NULL PRIMARY KEY,
  leaf BIGINT NOT NULL,
  holder TEXT NOT NULL,
  held_until BIGINT NOT NULL
);

INSERT INTO signal_work (id, leaf, holder, held_until) VALUES (1, -1, '', 0);

-- SETs that were received, so that none is acted on twice.
CREATE TABLE signal_received (
  issuer TEXT NOT NULL,
  jti TEXT NOT NULL,
  keep_until BIGINT NOT NULL,
  PRIMARY KEY (issuer, jti)
) WITHOUT ROWID;

CREATE INDEX signal_received_by_time ON signal_received (keep_until);
