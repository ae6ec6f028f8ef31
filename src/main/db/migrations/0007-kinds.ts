/** Rows may be of kinds that come later: which there are, the contract says (shared/dataset.ts). SQLite drops a check only with its column. */
export const sql = /* sql */ `
alter table examples add column any_kind text not null default '';
update examples set any_kind = kind;
alter table examples drop column kind;
alter table examples rename column any_kind to kind;
`;
