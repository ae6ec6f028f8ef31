/** A sentence short enough to be read: of a long one (a file's own words in it may be of any length) the beginning and the end. */
export function brief(sentence: string): string {
  return sentence.length <= 600 ? sentence : `${sentence.slice(0, 300)} … ${sentence.slice(-250)}`;
}
