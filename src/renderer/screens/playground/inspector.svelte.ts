/** Which token is looked at: the one under the pointer or the arrow keys (shown beside it), and the one that was pinned (shown in the side panel). */

export type Place = { turn: number; column: number; index: number };

export class Inspector {
  /** With where it is on screen, for the box beside it. */
  looked = $state.raw<(Place & { element: Element }) | null>(null);
  pinned = $state.raw<Place | null>(null);

  isPinned({ turn, column, index }: Place): boolean {
    return this.pinned?.turn === turn && this.pinned.column === column && this.pinned.index === index;
  }
}
