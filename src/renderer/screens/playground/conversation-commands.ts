/** What can be done in a conversation, for the palette and its keys: single letters work wherever no text is being typed. Nothing is done here. */
import * as m from '../../paraglide/messages.js';
import type { Command } from '../../state/commands.svelte.ts';
import type { Conversation } from './conversation.svelte.ts';
import type { Judging } from './judging.svelte.ts';
import { rankingCommands } from './ranking-commands.ts';
import { view } from './view.svelte.ts';

type Doing = {
  conversation: Conversation;
  judging: Judging;
  current: { turn: number; column: number };
  stop: () => void;
  compose: () => void;
  edit: () => void;
  regenerate: () => void;
  dice: () => void;
  vote: (best: number | null) => void;
  focus: (column: number) => void;
};

export function conversationCommands({ conversation, judging, current: { turn, column }, ...act }: Doing): Command[] {
  const group = m.screen_playground();
  const { streaming, session } = conversation;
  const live = conversation.turns[turn];
  const columns = live?.answers.length ?? 0;
  const resting = live?.atRest === true;
  const canVote = resting && columns > 1;
  const command = (id: string, title: string, keys: string, run: () => void, disabled = false): Command => ({ id: `playground-${id}`, title, group, keys, run, disabled });
  const common = [
    command('stop', m.playground_stop(), 'Escape', act.stop, !streaming),
    command('compose', m.playground_compose(), '/', act.compose),
    command('edit', m.playground_edit_prompt(), 'E', act.edit, !live || streaming),
    command('regenerate', m.playground_regenerate(), 'R', act.regenerate, !live || streaming),
    command('dice', m.playground_seed_dice(), 'S', act.dice, !session || streaming),
  ];
  if (live?.ranking) return [...common, ...rankingCommands(live, turn, column, judging, act.focus)];
  return [
    ...common,
    command('good', m.playground_command_good(), 'G', () => judging.pick(turn, 'good', column), !resting),
    command('bad', m.playground_command_bad(), 'B', () => judging.pick(turn, 'bad', column), !resting),
    command('pair', m.playground_pair_save(), 'P', () => void judging.savePair(turn), !resting),
    command('left', m.playground_command_left(), '[', () => act.focus(Math.max(0, column - 1)), columns < 2),
    command('right', m.playground_command_right(), ']', () => act.focus(Math.min(columns - 1, column + 1)), columns < 2),
    ...Array.from({ length: canVote ? columns : 0 }, (_, best) => command(`best-${best}`, m.playground_command_best({ column: best + 1 }), String(best + 1), () => act.vote(best))),
    command('tie', m.playground_vote_tie(), '0', () => act.vote(null), !canVote),
    command('tie-too', m.playground_vote_tie(), 'T', () => act.vote(null), !canVote),
    ...Array.from({ length: canVote ? 7 : 0 }, (_, i) => command(`rate-${i + 1}`, m.playground_command_rate({ rating: i + 1 }), `Shift+${i + 1}`, () => judging.rate(turn, column, i + 1))),
    command('marks', view.marks ? m.playground_marks_off() : m.playground_marks_on(), 'D', () => view.set({ marks: !view.marks })),
    command('tint', view.tint ? m.playground_tint_off() : m.playground_tint_on(), 'C', () => view.set({ tint: view.tint ? null : 'probability' })),
  ];
}
