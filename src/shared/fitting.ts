/** Less memory for the same training: what changes in a recipe, and what it takes then. How they are found is main's (runs/fitting.ts). */

/** `path`: names from the recipe's top to the field. */
export type RecipeChange = { path: string[]; value: unknown };
export type Fit = { changes: RecipeChange[]; /** bytes in all */ memory: number };

/**
 * Whether a run may have ended for want of memory, by what is said of its end. Every device says "out of memory" when it is (device.ts); a system that
 * runs out kills, and leaves no word.
 */
export function mayHaveLackedMemory(message: string): boolean {
  return /\bout of memory\b|killed by SIGKILL/.test(message);
}

/**
 * Bytes a device had about: what was in use was there, with what it was asked for it was too much, and the middle is taken. null where its message tells
 * no such numbers.
 */
export function memoryReached(message: string): number | null {
  const [asked, inUse] = /\bout of memory\b/.test(message) ? (message.match(/\d{4,}/g) ?? []) : [];
  return inUse === undefined ? null : Number(inUse) + Number(asked) / 2;
}

/** As a recipe says it: `gradientCheckpointing: true`. */
export function describeChange({ path, value }: RecipeChange): string {
  return `${path.join('.')}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`;
}
