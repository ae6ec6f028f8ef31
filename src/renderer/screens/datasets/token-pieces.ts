/** Tokens as texts to look at: neighbours with the same mask joined, and spaces made visible. */
import type { ShownExample } from '../../../shared/job.ts';

export type Piece = ShownExample['pieces'][number];

/** One piece per stretch of tokens that all carry loss, or all do not. */
export function joinPieces(pieces: Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last && last.loss === piece.loss) last.text += piece.text;
    else joined.push({ ...piece });
  }
  return joined;
}

/** A space as ·, a new line as ⏎ before it: a token that is nothing else can be seen. */
export function showSpaces(text: string): string {
  return text.replace(/ /g, '·').replace(/\n/g, '⏎\n').replace(/\t/g, '→');
}
