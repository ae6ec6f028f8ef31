/** The name somebody probably meant: another spelling of it (learning_rate for learningRate), or one a letter or two off. For what is told about unknown fields. */
import { editDistance } from './edit-distance.ts';

/** `nameOf` gives what a candidate is called; the first of those equally near. */
export function nearestName<T>(name: string, candidates: T[], nameOf: (candidate: T) => string): T | null {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const wanted = plain(name);
  return (
    candidates.find((candidate) => plain(nameOf(candidate)) === wanted) ??
    candidates.find((candidate) => editDistance(plain(nameOf(candidate)), wanted) <= 2) ??
    null
  );
}
