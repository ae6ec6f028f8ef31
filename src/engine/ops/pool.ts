/**
 * Where activations and gradients live: one block of device memory that every step cuts anew, so that what one part of a step no longer needs
 * serves the next, whatever its shape. Kept logits and layers' activations become the gradients of weights as backward goes: at M that
 * is 425 MB less than gradients with a place of their own. It holds no parameters, optimiser states or caches: those have one owner each.
 *
 * The first step gets its block in slabs as it goes; the next starts by replacing them with one as large. From then on a step that is no
 * larger than one before allocates nothing; to take and give back a buffer costs about a microsecond.
 */
import type { Device, Storage, Tensor } from '../device/device.ts';

export interface Pool {
  readonly device: Device;
  /** Rows of the buffers taken from now on; never fewer than those in use were given. Call before a forward. */
  reserve(rows: number): void;
  /** A buffer of (rows, width), or of `most` elements where that is less, with whatever was in it before. */
  take(width: number, storage?: Storage, most?: number): Tensor;
  /** A buffer of so many f32, whatever the rows: a weight's gradient. */
  takeFloats(length: number): Tensor;
  give(buffer: Tensor): void;
  /** Buffers taken and not given back: 0 between optimiser steps, or something leaks. */
  inUse(): number;
  /** Elements they hold. */
  held(): number;
  /** Frees all memory; nothing may be in use. */
  clear(): void;
}

/** Places are multiples of this, elements: 256 bytes, what GPUs ask of a binding, four cache lines. */
const PLACE = 64;
/** A step's slabs grow by a quarter, so that there are few. */
const GROWTH = 1 / 4;
/** The one block has this much more than the slabs had, for it is cut otherwise; what is not touched costs nothing where memory is paged. */
const SLACK = 1 / 16;

/** Places remembered; a step of M takes some thousand buffers. */
const MOST_PLACES = 4096;

type Hole = { start: number; length: number };
/** `holes` by start, no two of them neighbours; `end`: of the last place ever taken. */
type Slab = { block: Tensor; holes: Hole[]; end: number; places: Map<number, Place> };
/** What was last taken at a start: a step like the one before finds its views again. */
type Place = { slab: Slab; start: number; length: number; buffer: Tensor };

/** Elements of as many places as hold so many elements. */
const places = (elements: number): number => Math.max(1, Math.ceil(elements / PLACE)) * PLACE;

export function createPool(device: Device): Pool {
  const taken = new Map<Tensor, Place>();
  let slabs: Slab[] = [];
  let rows = 0;
  let held = 0;

  function addSlab(length: number): Slab {
    const slab: Slab = { block: device.alloc(length), holes: [{ start: 0, length }], end: 0, places: new Map() };
    slabs.push(slab);
    return slab;
  }

  function clear() {
    for (const { block } of slabs) device.free(block);
    slabs = [];
  }

  /** The smallest hole that holds it: large ones stay whole for what is large, and the end of the block stays untouched longest. */
  function find(length: number): { slab: Slab; index: number } | null {
    let best: { slab: Slab; index: number } | null = null;
    let least = Infinity;
    for (const slab of slabs) {
      for (let index = 0; index < slab.holes.length; index++) {
        const there = slab.holes[index]!.length;
        if (there < length || there >= least) continue;
        least = there;
        best = { slab, index };
      }
    }
    return best;
  }

  function takeElements(elements: number, storage: Storage): Tensor {
    const length = places(elements);
    const size = slabs.reduce((sum, { block }) => sum + block.length, 0);
    const { slab, index } = find(length) ?? { slab: addSlab(Math.max(length, places(size * GROWTH))), index: 0 };
    const hole = slab.holes[index]!;
    const start = hole.start;
    hole.start += length;
    hole.length -= length;
    if (hole.length === 0) slab.holes.splice(index, 1);
    slab.end = Math.max(slab.end, start + length);
    held += length;
    // A view is a thing with a finaliser: made anew and collected they were half of what a decoded token costs in TypeScript.
    let place = slab.places.get(start);
    if (place?.buffer.length !== elements || place.buffer.storage !== storage) {
      place = { slab, start, length, buffer: device.view(slab.block, start, elements, storage) };
      if (slab.places.size >= MOST_PLACES) slab.places.clear(); // steps of ever other lengths
      slab.places.set(start, place);
    }
    taken.set(place.buffer, place);
    return place.buffer;
  }

  return {
    device,
    reserve(needed) {
      if (taken.size > 0) {
        rows = Math.max(rows, needed);
        return;
      }
      rows = needed;
      if (slabs.length < 2) return;
      const used = slabs.reduce((sum, { end }) => sum + end, 0);
      clear();
      addSlab(places(used * (1 + SLACK)));
    },
    take: (width, storage = 'f32', most = Infinity) => takeElements(Math.min(most, rows * width), storage),
    takeFloats: (length) => takeElements(length, 'f32'),
    give(buffer) {
      const place = taken.get(buffer);
      if (!place) throw new Error('pool: a buffer was given back twice, or never taken; an op releases what it does not own');
      taken.delete(buffer);
      const { slab: { holes }, start, length } = place;
      held -= length;
      let at = holes.length; // the first hole behind it; most are given back near the end of what is taken
      while (at > 0 && holes[at - 1]!.start > start) at--;
      const [before, after] = [holes[at - 1], holes[at]];
      const touches = before !== undefined && before.start + before.length === start;
      if (after?.start === start + length) {
        after.start = start;
        after.length += length;
        if (!touches) return;
        before.length += after.length;
        holes.splice(at, 1);
      } else if (touches) {
        before.length += length;
      } else {
        holes.splice(at, 0, { start, length });
      }
    },
    inUse: () => taken.size,
    held: () => held,
    clear,
  };
}
