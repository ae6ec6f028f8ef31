/** The question which preference dataset pairs are saved to; PairDatasetDialog shows it. */

class Question {
  answer = $state.raw<((dataset: string | null) => void) | null>(null);
}
export const pairDatasetQuestion = new Question();

/** null when cancelled. */
export function askPairDataset(): Promise<string | null> {
  return new Promise((resolve) => {
    pairDatasetQuestion.answer = (dataset) => ((pairDatasetQuestion.answer = null), resolve(dataset));
  });
}
