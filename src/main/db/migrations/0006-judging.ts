/** How datasets of judged pairs came to be (shared/judging.ts, as JSON), and reports that hold methods against each other (shared/method-report.ts). */
export const sql = /* sql */ `
create table judgings (
  dataset_id integer primary key references datasets (id) on delete cascade,
  body text not null check (json_valid(body))
) strict;

create table method_reports (
  id integer primary key autoincrement,
  name text not null,
  status text not null check (status in ('running', 'done', 'stopped', 'failed', 'interrupted')),
  -- process-identity.ts; null while nobody works on it
  owner text,
  settings text not null check (json_valid(settings)),
  -- of each method its run and what was measured so far
  entries text not null check (json_valid(entries)),
  error text,
  created_at text not null,
  finished_at text
) strict;
`;
