/** Sampling settings kept by a name for a model, and reports of answers sampled many times (best of N, consistency): what was asked and found, as JSON. */
export const sql = /* sql */ `
create table sampling_presets (
  model text not null,
  name text not null,
  sampling text not null check (json_valid(sampling)),
  primary key (model, name)
) strict, without rowid;

create table sampling_reports (
  id integer primary key autoincrement,
  kind text not null check (kind in ('best-of', 'consistency')),
  model text not null,
  body text not null check (json_valid(body)),
  created_at text not null
) strict;
`;
