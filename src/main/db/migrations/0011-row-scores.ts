/** How the rows of a dataset were scored by a model (shared/scoring.ts, as JSON), and what each row got. `body` is null until all are there. */
export const sql = /* sql */ `
create table scorings (
  id integer primary key autoincrement,
  dataset_id integer not null references datasets (id) on delete cascade,
  body text check (body is null or json_valid(body))
) strict;
create index scorings_by_dataset on scorings (dataset_id, id);
create table row_scores (
  row_id integer not null references examples (id) on delete cascade,
  scoring_id integer not null references scorings (id) on delete cascade,
  score real not null,
  primary key (row_id, scoring_id)
) strict, without rowid;
create index row_scores_by_score on row_scores (scoring_id, score, row_id);
`;
