/** Conversations whose answers are ranked: how many a prompt gets, and of a turn its order as it stands (playground/rankings.ts, as JSON). */
export const sql = /* sql */ `
alter table sessions add column answers_to_rank integer check (answers_to_rank between 2 and 9);
alter table turns add column ranking text check (json_valid(ranking));
`;
