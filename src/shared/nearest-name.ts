/** The name somebody probably meant: another spelling of it (learning_rate for learningRate), or one a letter or two off. For what is told about unknown fields. */

/** `nameOf` gives what a candidate is called; the first of those equally near. */
export function nearestName<T>(name: string, candidates: T[], nameOf: (candidate: T) => string): T | null {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const wanted = plain(name);
  return (
    candidates.find((candidate) => plain(nameOf(candidate)) === wanted) ??
    candidates.find((candidate) => distance(plain(nameOf(candidate)), wanted) <= 2) ??
    null
  );
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}
