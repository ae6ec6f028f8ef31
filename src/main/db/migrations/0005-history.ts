/** Whether a conversation's models hear what was said before: of the session for the next turn, of a turn as it was asked. */
export const sql = /* sql */ `
alter table sessions add column history integer not null default 1 check (history in (0, 1));
alter table turns add column history integer not null default 1 check (history in (0, 1));
`;
