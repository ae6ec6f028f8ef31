/** A chart as a PNG that speaks for itself: title, what x is, the drawing, and beneath it which line is which. */
import { colours, DASHES, SERIES_COLOURS } from './chart-colours.ts';
import type { ChartLine } from './plot.ts';

const MARGIN = 16;
const TITLE = 32;
const ROW = 18;
const TEXT = 12;

/** `drawing` has device pixels; texts are scaled along. */
export async function chartImage(drawing: HTMLCanvasElement, title: string, xLabel: string, lines: ChartLine[]): Promise<Blob> {
  const { series, text, surface, font } = colours();
  const ratio = devicePixelRatio;
  const width = drawing.width / ratio + 2 * MARGIN;
  const height = TITLE + drawing.height / ratio + ROW + lines.length * ROW + 2 * MARGIN;
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  context.fillStyle = surface;
  context.fillRect(0, 0, width, height);
  context.textBaseline = 'middle';
  context.fillStyle = text;
  context.font = `600 ${TEXT + 2}px ${font}`;
  context.fillText(title, MARGIN, MARGIN + TITLE / 2 - 4, width - 2 * MARGIN);
  context.drawImage(drawing, MARGIN, MARGIN + TITLE, drawing.width / ratio, drawing.height / ratio);
  let y = MARGIN + TITLE + drawing.height / ratio + ROW / 2;
  context.font = `${TEXT}px ${font}`;
  context.textAlign = 'center';
  context.fillText(xLabel, width / 2, y);
  context.textAlign = 'left';
  for (const line of lines) {
    y += ROW;
    context.strokeStyle = series[line.colour % SERIES_COLOURS];
    context.lineWidth = 2;
    context.setLineDash(DASHES[line.dash % DASHES.length]);
    context.beginPath();
    context.moveTo(MARGIN, y);
    context.lineTo(MARGIN + 28, y);
    context.stroke();
    context.fillStyle = text;
    context.fillText(line.label, MARGIN + 36, y, width - 2 * MARGIN - 36);
  }
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the image could not be made'))), 'image/png');
  });
}

/** Hands a file to the person, as a download. */
export function saveFile(name: string, content: Blob | string): void {
  const url = URL.createObjectURL(typeof content === 'string' ? new Blob([content], { type: 'text/csv;charset=utf-8' }) : content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-');
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
