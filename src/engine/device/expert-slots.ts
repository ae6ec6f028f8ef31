/** How a router's choices are laid out by expert (Device.route): a counting sort, for devices that do it on the host. */

/** chosen(N,K) → slots(N,K), rows(N·K), bounds(E+1): expert by expert, and of one expert row by row. */
export function layOutByExpert(chosen: Int32Array, N: number, E: number, K: number): { slots: Int32Array; rows: Int32Array; bounds: Int32Array } {
  const bounds = new Int32Array(E + 1);
  for (const expert of chosen) bounds[expert + 1]++;
  for (let e = 0; e < E; e++) bounds[e + 1] += bounds[e];
  const next = bounds.slice();
  const [slots, rows] = [new Int32Array(N * K), new Int32Array(N * K)];
  for (let pair = 0; pair < N * K; pair++) {
    const slot = next[chosen[pair]]++;
    slots[pair] = slot;
    rows[slot] = Math.floor(pair / K);
  }
  return { slots, rows, bounds };
}
