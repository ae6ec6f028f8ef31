/** Which elements dropout keeps, as device.ts defines it, for the devices that find out on the host, and the mixing for those that do not. */

/** MurmurHash3's 32-bit finaliser. */
export function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 1 where an element is kept. */
export function dropoutMask(n: number, p: number, seed: number): Uint8Array {
  const salt = mix(seed);
  return Uint8Array.from({ length: n }, (_, i) => ((mix(i ^ salt) >>> 8) * 2 ** -24 >= p ? 1 : 0));
}
