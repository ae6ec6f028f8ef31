/** How many sampled answers stand on one page: whole prompts, as long as a page takes them. */
const USUAL = 48;
const MOST = 100;

/** `perPrompt`: answers to one prompt. */
export function pageSize(perPrompt: number): number {
  if (perPrompt > MOST) return MOST;
  return Math.max(1, Math.floor(USUAL / perPrompt)) * perPrompt;
}
