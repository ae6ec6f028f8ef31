/** What can be done with ranked answers, for the palette and its keys. Moving an answer is the keys of its own handle (Ranking.svelte). Nothing is done here. */
import * as m from '../../paraglide/messages.js';
import type { Command } from '../../state/commands.svelte.ts';
import type { LiveTurn } from './conversation.svelte.ts';
import type { Judging } from './judging.svelte.ts';

export function rankingCommands(live: LiveTurn, turn: number, column: number, judging: Judging, focus: (column: number) => void): Command[] {
  const { order, savedTo } = live.ranking ?? { order: [], savedTo: null };
  const place = order.indexOf(column);
  const command = (id: string, title: string, keys: string, run: () => void, disabled: boolean): Command => ({
    id: `playground-${id}`, title, group: m.screen_playground(), keys, run, disabled: disabled || !live.atRest,
  });
  return [
    command('above', m.playground_rank_above(), '[', () => focus(order[Math.max(0, place - 1)]), false),
    command('below', m.playground_rank_below(), ']', () => focus(order[Math.min(order.length - 1, place + 1)]), false),
    command('rank-save', m.playground_rank_save(), 'P', () => void judging.saveRanking(turn), savedTo !== null),
    command('rank-undo', m.playground_rank_undo(), 'U', () => void judging.undoRanking(turn), savedTo === null),
  ];
}
