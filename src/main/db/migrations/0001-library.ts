/**
 * The library's first schema. Times are ISO 8601 UTC; `owner` names a process (process-identity.ts); JSON columns are said to be JSON.
 * Rows of a file being imported are there before they count: only files with status 'ready' are read.
 */
export const sql = /* sql */ `
create table models (
  id integer primary key,
  name text not null unique,
  folder text not null,
  adapter text,
  created_at text not null
) strict;

create table datasets (
  id integer primary key,
  name text not null unique,
  created_at text not null
) strict;

create table dataset_files (
  id integer primary key,
  dataset_id integer not null references datasets (id) on delete cascade,
  file text not null,
  format text not null,
  split text not null check (split in ('train', 'validation', 'test')),
  status text not null check (status in ('importing', 'ready')),
  owner text not null,
  rows integer not null default 0,
  skipped integer not null default 0,
  warnings integer not null default 0,
  sha256 text,
  created_at text not null,
  unique (dataset_id, split)
) strict;

create table examples (
  id integer primary key,
  file_id integer not null references dataset_files (id) on delete cascade,
  line integer not null,
  kind text not null check (kind in ('instruction', 'conversation', 'completion', 'text')),
  body text not null check (json_valid(body))
) strict;
create index examples_by_file on examples (file_id, id);

create table preference_pairs (
  id integer primary key,
  file_id integer not null references dataset_files (id) on delete cascade,
  line integer not null,
  prompt text not null check (json_valid(prompt)),
  chosen text not null,
  rejected text not null
) strict;
create index preference_pairs_by_file on preference_pairs (file_id, id);

create table row_problems (
  id integer primary key,
  file_id integer not null references dataset_files (id) on delete cascade,
  line integer not null,
  severity text not null check (severity in ('skipped', 'warning')),
  reason text not null
) strict;
create index row_problems_by_file on row_problems (file_id, id);

create table runs (
  id integer primary key autoincrement,
  name text not null unique,
  method text not null,
  status text not null check (status in ('queued', 'running', 'paused', 'finished', 'stopped', 'failed', 'interrupted')),
  recipe text not null check (json_valid(recipe)),
  model text not null check (json_valid(model)),
  parent_checkpoint_id integer references checkpoints (id) on delete set null,
  seed integer not null,
  train_sha256 text,
  validation_sha256 text,
  device text,
  engine_version text,
  owner text,
  step integer not null default 0,
  total_steps integer not null default 0,
  peak_memory_bytes integer,
  error text,
  created_at text not null,
  started_at text,
  finished_at text
) strict;

create table metrics (
  run_id integer not null references runs (id) on delete cascade,
  step integer not null,
  name text not null,
  value real,
  primary key (run_id, step, name)
) strict, without rowid;

create table checkpoints (
  id integer primary key,
  run_id integer not null references runs (id) on delete cascade,
  step integer not null,
  path text not null,
  sha256 text not null,
  best integer not null check (best in (0, 1)),
  created_at text not null,
  unique (run_id, step)
) strict;
`;
