/** The question which dataset pairs, or rankings, are saved to; TargetDatasetDialog shows it, and the answer is kept in the settings. */
import { attempt } from '../../state/prompts.svelte.ts';
import { saveSettings, workbench } from '../../state/workbench.svelte.ts';

export type TargetKind = 'preferences' | 'rankings';

const SETTING = { preferences: 'pairDataset', rankings: 'rankingDataset' } as const;

export type Asked = { kind: TargetKind; answer: (dataset: string | null) => void };

class Question {
  asked = $state.raw<Asked | null>(null);
}
export const targetQuestion = new Question();

/** Where rows of this kind go; null: not chosen yet. */
export function targetDataset(kind: TargetKind): string | null {
  return workbench.settings?.[SETTING[kind]] ?? null;
}

/** null when cancelled. */
export async function chooseTargetDataset(kind: TargetKind): Promise<string | null> {
  const dataset = await new Promise<string | null>((resolve) => {
    targetQuestion.asked = { kind, answer: (name) => ((targetQuestion.asked = null), resolve(name)) };
  });
  if (dataset) await attempt(() => saveSettings({ [SETTING[kind]]: dataset }));
  return dataset;
}
