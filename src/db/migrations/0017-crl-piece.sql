-- What one list of a whole authority has in common with the next, in pieces of one size that are written once
-- (src/ca/list-pieces.ts): such a list can have tens of megabytes, and a commit of all of it would hold up everybody.
CREATE TABLE crl_piece (
  -- Id of the authority.
  list TEXT NOT NULL,
  -- Milliseconds: what expired before is in none of them. The pieces of one run are the same whoever makes them.
  run BIGINT NOT NULL,
  -- From 0.
  piece BIGINT NOT NULL,
  octets BLOB NOT NULL,
  PRIMARY KEY (list, run, piece)
);

-- How many pieces belong into the list, from the first, and where.
ALTER TABLE crl_list ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
ALTER TABLE crl_list ADD COLUMN pieces BIGINT NOT NULL DEFAULT 0;
ALTER TABLE crl_list ADD COLUMN pieces_at BIGINT NOT NULL DEFAULT 0;
