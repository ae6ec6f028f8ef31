/**
 * Datasets can be edited. All rows move into one table, pairs too, so that an editor has one kind of id. `position` orders the rows of a
 * dataset over all its splits (a row keeps it when it changes split); `edits` counts the changes that stand; a deleted row stays until no
 * undo can bring it back. `row_counts` counts the rows that are not deleted: it is the only place that knows how many there are.
 */
export const sql = /* sql */ `
alter table examples rename to old_examples;
drop index examples_by_file;
create table examples (
  id integer primary key autoincrement,
  file_id integer not null references dataset_files (id) on delete cascade,
  position real not null,
  line integer,
  edits integer not null default 0,
  deleted integer not null default 0 check (deleted in (0, 1)),
  kind text not null check (kind in ('instruction', 'conversation', 'completion', 'preference', 'text')),
  body text not null check (json_valid(body))
) strict;
insert into examples (id, file_id, position, line, kind, body)
  select id, file_id, id, line, kind, body from old_examples order by id;
insert into examples (file_id, position, line, kind, body)
  select file_id, (select coalesce(max(id), 0) from old_examples) + id, line, 'preference',
    json_object('kind', 'preference', 'prompt', json(prompt), 'chosen', chosen, 'rejected', rejected)
  from preference_pairs order by id;
drop table old_examples;
drop table preference_pairs;
create index examples_in_order on examples (file_id, deleted, position);
create index examples_edited on examples (file_id) where edits > 0;

create table row_counts (
  file_id integer not null references dataset_files (id) on delete cascade,
  kind text not null,
  rows integer not null,
  primary key (file_id, kind)
) strict, without rowid;
insert into row_counts select file_id, kind, count(*) from examples group by file_id, kind;
alter table dataset_files drop column rows;

alter table datasets add column edits integer not null default 0;

create table tags (
  id integer primary key,
  dataset_id integer not null references datasets (id) on delete cascade,
  tag text not null,
  rows integer not null default 0,
  unique (dataset_id, tag)
) strict;
create table row_tags (
  row_id integer not null references examples (id) on delete cascade,
  tag_id integer not null references tags (id) on delete cascade,
  primary key (row_id, tag_id)
) strict, without rowid;
create index row_tags_by_tag on row_tags (tag_id, row_id);

create table edits (
  id integer primary key autoincrement,
  dataset_id integer not null references datasets (id) on delete cascade,
  type text not null,
  rows integer not null default 0,
  state text not null check (state in ('applying', 'done', 'undoing', 'undone', 'redoing', 'forgotten')),
  owner text not null,
  created_at text not null
) strict;
create index edits_by_dataset on edits (dataset_id, state, id);
create table edit_effects (
  edit_id integer not null references edits (id) on delete cascade,
  seq integer not null,
  effect text not null check (json_valid(effect)),
  applied integer not null check (applied in (0, 1)),
  primary key (edit_id, seq)
) strict, without rowid;

create table unindexed_rows (
  dataset_id integer not null references datasets (id) on delete cascade,
  row_id integer not null,
  primary key (dataset_id, row_id)
) strict, without rowid;
`;
