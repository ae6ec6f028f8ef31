/**
 * Conversations with models, votes, exports and settings. An answer keeps the name of the model that gave it and its slot (which of the session's
 * models); in a blind turn the columns are shuffled slots. A vote keeps all it was about, and outlives its session. Settings are JSON by key.
 */
export const sql = /* sql */ `
create table settings (
  key text primary key,
  value text not null check (json_valid(value))
) strict, without rowid;

create table votes (
  id integer primary key autoincrement,
  prompt text not null,
  -- JSON lists, one entry a column
  models text not null check (json_valid(models)),
  answers text not null check (json_valid(answers)),
  ratings text not null check (json_valid(ratings)),
  -- a column; null is a tie
  best integer,
  blind integer not null check (blind in (0, 1)),
  at text not null
) strict;

create table sessions (
  id integer primary key autoincrement,
  title text not null,
  models text not null check (json_valid(models)),
  blind integer not null check (blind in (0, 1)),
  system text not null,
  sampling text not null check (json_valid(sampling)),
  created_at text not null
) strict;

create table turns (
  session_id integer not null references sessions (id) on delete cascade,
  position integer not null,
  prompt text not null,
  blind integer not null check (blind in (0, 1)),
  vote_id integer references votes (id) on delete set null,
  primary key (session_id, position)
) strict, without rowid;
create index turns_by_vote on turns (vote_id);

create table answers (
  session_id integer not null,
  position integer not null,
  column_index integer not null,
  slot integer not null,
  model text not null,
  text text not null,
  tokens text not null check (json_valid(tokens)),
  state text not null check (state in ('waiting', 'streaming', 'done', 'stopped', 'failed')),
  finish_reason text,
  tokens_per_second real,
  error text,
  primary key (session_id, position, column_index),
  foreign key (session_id, position) references turns (session_id, position) on delete cascade
) strict;

create table exports (
  id integer primary key autoincrement,
  model text not null,
  -- what it was made from: folder, adapter and prompt format, JSON
  source text not null check (json_valid(source)),
  format text not null,
  dtype text not null,
  folder text not null,
  path text not null,
  files text not null check (json_valid(files)),
  parity text check (json_valid(parity)),
  parity_error text,
  at text not null
) strict;
`;
