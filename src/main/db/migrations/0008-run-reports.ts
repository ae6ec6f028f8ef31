/** What a run's evaluations found beside their numbers (shared/reports.ts), one a step. */
export const sql = /* sql */ `
create table run_reports (
  run_id integer not null references runs (id) on delete cascade,
  step integer not null,
  body text not null check (json_valid(body)),
  primary key (run_id, step)
) strict, without rowid;
`;
