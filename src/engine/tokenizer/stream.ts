/**
 * Ids → text as they are drawn, never half a character: text is held back while it ends in U+FFFD, the sign of bytes that want more.
 * A token's text depends on its neighbours (spaces, byte tokens), so the last emitted tokens are decoded along; after vLLM's incremental detokeniser.
 */
import type { Tokenizer } from './tokenizer.ts';

export function createDecoder(tokenizer: Tokenizer, { skipSpecialTokens = true } = {}): { push(id: number): string; end(): string } {
  let ids: number[] = []; // tokens of the last emission, as context, then those still held back
  let emitted = 0; // how many of them are context
  const decode = (of: number[]): string => tokenizer.decode(of, { skipSpecialTokens });

  function take(final: boolean): string {
    const before = decode(ids.slice(0, emitted));
    const now = decode(ids);
    if (!final && (now.length <= before.length || now.endsWith('\uFFFD'))) return '';
    ids = ids.slice(emitted);
    emitted = ids.length;
    return now.slice(before.length);
  }

  return {
    push(id) {
      ids.push(id);
      return take(false);
    },
    /** What is left when no token follows: an unfinished character shows as U+FFFD. */
    end: () => take(true),
  };
}
