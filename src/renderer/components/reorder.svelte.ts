/**
 * Putting the items of a list in order by their handles: dragged by mouse, pen or finger (pointer events), or moved by keys. What a move does is the
 * list's own affair; it draws `dragged` and `over` itself.
 */

/** Where a key takes an item; undefined for a key that moves nothing. Digits name a place. */
export function placeOfKey(event: KeyboardEvent, place: number, count: number): number | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return undefined;
  const places: Record<string, number> = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: count - 1 };
  const to = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : places[event.key];
  return to === undefined ? undefined : Math.max(0, Math.min(count - 1, to));
}

export class Reorder {
  /** Place of the item that is dragged, and the place it would take. */
  dragged = $state<number | null>(null);
  over = $state<number | null>(null);
  readonly #list: () => HTMLElement | undefined;
  readonly #move: (from: number, to: number) => void;

  /** `list`: its children are the items, in order. */
  constructor(list: () => HTMLElement | undefined, move: (from: number, to: number) => void) {
    this.#list = list;
    this.#move = move;
  }

  /** Attributes of the handle of the item at a place; its style needs `touch-action: none`, or a finger scrolls instead. */
  handle(place: number, movable: boolean): Record<'onpointerdown' | 'onpointermove' | 'onpointerup' | 'onlostpointercapture', (event: PointerEvent) => void> {
    const end = (): void => void (this.dragged = this.over = null);
    return {
      onpointerdown: (event) => {
        if (!movable || event.button !== 0) return;
        (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
        this.dragged = this.over = place;
      },
      onpointermove: (event) => {
        if (this.dragged === null) return;
        const over = this.#placeAt(event.clientY);
        if (over === this.over) return;
        this.over = over;
        this.#list()?.children[over]?.scrollIntoView({ block: 'nearest' });
      },
      onpointerup: () => {
        const { dragged, over } = this;
        end();
        if (dragged !== null && over !== null && dragged !== over) this.#move(dragged, over);
      },
      onlostpointercapture: end,
    };
  }

  /** The item at a height of the window, else the nearest end. */
  #placeAt(y: number): number {
    const items = [...(this.#list()?.children ?? [])].map((item) => item.getBoundingClientRect());
    const place = items.findIndex(({ bottom }) => y < bottom);
    return place < 0 ? items.length - 1 : place;
  }
}
