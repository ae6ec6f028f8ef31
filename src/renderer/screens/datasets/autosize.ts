/** A textarea as tall as its text; its style says how tall at most. Used as `use:autosize={text}`, so that it follows a text set from outside. */
export function autosize(area: HTMLTextAreaElement, _text: string): { update: (text: string) => void } {
  const fit = (): void => {
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  };
  // once it stands, at its width
  requestAnimationFrame(fit);
  return { update: () => requestAnimationFrame(fit) };
}
