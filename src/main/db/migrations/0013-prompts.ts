/** What stands before a conversation and its prompts' template; templates kept by a name; presets keep what answers must be. */
export const sql = /* sql */ `
alter table sessions add column template text not null default '';
alter table sessions add column examples text not null default '[]' check (json_valid(examples));
alter table sampling_presets add column constrained text check (constrained is null or json_valid(constrained));

create table prompt_templates (
  name text primary key,
  body text not null check (json_valid(body))
) strict, without rowid;
`;
