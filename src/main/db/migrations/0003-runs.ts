/**
 * Runs as the window shows them: a row of metrics a logged step (so that a curve of 100,000 points is read in slices), seconds of training,
 * sample completions, a log; of a checkpoint its size and whether its folder is still kept; facts of model folders, so that none is read twice.
 */
export const sql = /* sql */ `
create table points (
  run_id integer not null references runs (id) on delete cascade,
  step integer not null,
  seconds real,
  body text not null check (json_valid(body)),
  primary key (run_id, step)
) strict, without rowid;
insert into points select run_id, step, null, json_group_object(name, value) from metrics group by run_id, step;

-- of training, pauses left out
alter table runs add column seconds real not null default 0;
-- last value of every metric, JSON
alter table runs add column last text not null default '{}' check (json_valid(last));
-- the newest RunProgress, JSON
alter table runs add column progress text check (json_valid(progress));
-- how often an engine began on it: a watcher of an older attempt reads everything anew
alter table runs add column attempt integer not null default 0;
alter table runs add column parameters integer;
alter table runs add column trainable_parameters integer;
-- reached in training steps without an evaluation
alter table runs add column flops_per_second real;
update runs set last = (
  select coalesce(json_group_object(name, value), '{}') from (select name, value, max(step) from metrics where run_id = runs.id group by name)
);
drop table metrics;
alter table points rename to metrics;

create table samples (
  run_id integer not null references runs (id) on delete cascade,
  step integer not null,
  position integer not null,
  prompt text not null check (json_valid(prompt)),
  completion text not null,
  expected text,
  primary key (run_id, step, position)
) strict, without rowid;

create table run_log (
  id integer primary key autoincrement,
  run_id integer not null references runs (id) on delete cascade,
  at text not null,
  text text not null
) strict;
create index run_log_by_run on run_log (run_id, id);

alter table checkpoints add column bytes integer not null default 0;
-- 0: the engine deleted its folder to make room
alter table checkpoints add column kept integer not null default 1 check (kept in (0, 1));

create table model_facts (
  folder text primary key,
  stamp text not null,
  facts text not null check (json_valid(facts))
) strict;
`;
