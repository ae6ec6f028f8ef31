/** How the rendered prompt is shown: for the window, whatever row or dataset it is about. A way of looking, not a fact: it ends with the window. */
import type { Template } from '../../../shared/dataset.ts';

class PreviewChoice {
  open = $state(true);
  /** null: the first that can be used. */
  model = $state<string | null>(null);
  /** null: the model's own. */
  template = $state<Template | null>(null);
  boundaries = $state(false);
  completionOnlyLoss = $state(true);
}
export const previewChoice = new PreviewChoice();
