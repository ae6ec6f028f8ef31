/**
 * The one source of chance in the engine: sfc32, a small counter-based generator whose whole state is four integers, so that a
 * checkpoint can keep it and a resumed run draws the same numbers. Not for secrets.
 * Follows Chris Doty-Humphrey's sfc32 (PractRand); normals by Box-Muller, the second of each pair thrown away so that no state hides.
 */

export interface Random {
  /** Uniform in [0, 1), a multiple of 2⁻³². */
  next(): number;
  /** Standard normal. */
  normal(): number;
  /** Uniform integer in [0, n). */
  int(n: number): number;
  /** Four 32-bit integers from which createRandom goes on with the very next number. */
  state(): number[];
}

/** From a seed (any integer), or from a state() kept earlier. */
export function createRandom(seed: number | readonly number[]): Random {
  let a: number, b: number, c: number, counter: number;

  function word(): number {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  if (typeof seed === 'number') {
    // A seed beyond 32 bits keeps its upper part, so that 1 and 2³² + 1 differ.
    a = seed | 0;
    b = Math.floor(seed / 2 ** 32) | 0;
    c = 0x9e3779b9 | 0;
    counter = 1;
    for (let i = 0; i < 15; i++) word();
  } else {
    if (seed.length !== 4) throw new Error(`random: a state is 4 integers, found ${seed.length}; was it cut short?`);
    [a, b, c, counter] = seed.map((x) => x | 0) as [number, number, number, number];
  }

  const next = () => word() / 2 ** 32;
  return {
    next,
    normal() {
      const u = 1 - next(); // (0, 1]: the logarithm stays finite
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * next());
    },
    int: (n) => Math.floor(next() * n),
    state: () => [a >>> 0, b >>> 0, c >>> 0, counter >>> 0],
  };
}

/** Fisher-Yates, in place; returns the array. */
export function shuffle<A extends { length: number; [index: number]: unknown }>(array: A, random: Random): A {
  for (let i = array.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    const kept = array[i];
    array[i] = array[j];
    array[j] = kept;
  }
  return array;
}

/** A seed of its own for each name under one seed: what one tensor draws does not depend on which others are drawn. */
export function deriveSeed(seed: number, name: string): number {
  let hash = mix(seed); // mixed first, or seed 1 with 'a' and seed 2 with 'b' would meet
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193); // FNV-1a
  return mix(hash) >>> 0;
}

/** MurmurHash3's finaliser; 0 stays 0. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
