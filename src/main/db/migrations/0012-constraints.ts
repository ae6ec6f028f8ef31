/** What the answers of a conversation must be, and whether each was, as JSON. */
export const sql = /* sql */ `
alter table sessions add column constrained text check (constrained is null or json_valid(constrained));
alter table answers add column validity text check (validity is null or json_valid(validity));
`;
