import Sqlite from 'better-sqlite3';
import { expect, test } from 'vitest';
import { sql as library } from './0001-library.ts';
import { sql as editing } from './0002-editing.ts';

test('rows of the first schema keep their ids, order and bytes; pairs become rows of the same table; counts are made', () => {
  const db = new Sqlite(':memory:');
  db.pragma('foreign_keys = ON');
  db.exec(library);
  db.exec(`
    insert into datasets (id, name, created_at) values (1, 'd', '2026');
    insert into dataset_files (id, dataset_id, file, format, split, status, owner, rows, created_at) values (1, 1, '/f', 'alpaca', 'train', 'ready', 'o', 3, '2026');
    insert into examples (id, file_id, line, kind, body) values (1, 1, 1, 'text', '{"kind":"text","text":"a / \\u0001"}'), (2, 1, 2, 'text', '{"kind":"text","text":"b"}');
    insert into preference_pairs (id, file_id, line, prompt, chosen, rejected) values (1, 1, 3, '[{"role":"user","content":"q"}]', 'c "1"', 'r');
  `);
  db.exec(editing);
  expect(db.prepare('select id, position, line, kind, body, edits, deleted from examples order by position').all()).toEqual([
    { id: 1, position: 1, line: 1, kind: 'text', body: '{"kind":"text","text":"a / \\u0001"}', edits: 0, deleted: 0 },
    { id: 2, position: 2, line: 2, kind: 'text', body: '{"kind":"text","text":"b"}', edits: 0, deleted: 0 },
    {
      id: 3, position: 3, line: 3, kind: 'preference', edits: 0, deleted: 0,
      body: JSON.stringify({ kind: 'preference', prompt: [{ role: 'user', content: 'q' }], chosen: 'c "1"', rejected: 'r' }),
    },
  ]);
  expect(db.prepare('select * from row_counts order by kind').all()).toEqual([{ file_id: 1, kind: 'preference', rows: 1 }, { file_id: 1, kind: 'text', rows: 2 }]);
  expect(db.pragma('foreign_key_check')).toEqual([]);
  db.prepare('delete from datasets').run();
  expect(db.prepare('select (select count(*) from examples) + (select count(*) from row_counts)').pluck().get()).toBe(0);
  db.close();
});
