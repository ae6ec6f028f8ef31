/**
 * The words of a dataset's rows, in a SQLite file of their own with an FTS5 table: nothing in it is not in the library too, so it may be deleted
 * at any time, and building it never keeps anybody from writing to the library. Row ids are those of `examples`. Korean, and whatever else
 * joins particles to words, is found by the beginnings of words; text is compared in NFC.
 */
import { rmSync } from 'node:fs';
import Sqlite from 'better-sqlite3';

export type SearchIndex = {
  /** Every row up to this id has been taken in. */
  upTo(): number;
  /** Takes rows in, anew where it has them, and moves the mark. One transaction. */
  add(rows: { id: number; text: string }[], upTo: number): void;
  /** Ids of the rows in which every word of the text begins some word. Any text is a query. */
  search(text: string): number[];
  close(): void;
};

/** Words of a query beyond this are left aside. */
const MOST_WORDS = 32;

/** One that is damaged is made anew. */
export function openSearchIndex(path: string): SearchIndex {
  try {
    return openIndex(path);
  } catch (error) {
    if (!/^SQLITE_(NOTADB|CORRUPT)/.test((error as { code?: string }).code ?? '')) throw error;
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    return openIndex(path);
  }
}

function openIndex(path: string): SearchIndex {
  const db = new Sqlite(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF'); // a power cut may cost the index, which is then built again
  db.exec(`
    create table if not exists progress (up_to integer not null) strict;
    create virtual table if not exists words using fts5 (text, content = '', contentless_delete = 1, tokenize = "unicode61 categories 'L* N* M* Co'");
  `);
  if (!db.prepare('select 1 from progress').get()) db.exec('insert into progress values (0)');
  const insert = db.prepare('insert or replace into words (rowid, text) values (?, ?)');
  const mark = db.prepare('update progress set up_to = ?');
  const find = db.prepare('select rowid from words where words match ?').pluck();
  const add = db.transaction((rows: { id: number; text: string }[], upTo: number) => {
    for (const { id, text } of rows) insert.run(id, text.normalize('NFC'));
    mark.run(upTo);
  });
  return {
    upTo: () => db.prepare('select up_to from progress').pluck().get() as number,
    add: (rows, upTo) => add(rows, upTo),
    search(text) {
      const words = text.normalize('NFC').match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu) ?? [];
      if (words.length === 0) return [];
      return find.all(words.slice(0, MOST_WORDS).map((word) => `"${word}"*`).join(' ')) as number[];
    },
    close: () => db.close(),
  };
}
