/** What one run measured on a device, as a table for LOG.md: a line a figure, PyTorch on the same card beside it where it ran. Not the measuring. */
import type { Report } from './measure.ts';

type Measures = Record<string, { value: number; unit: string }>;

/** Of every figure the speed first; other measures beside it. */
const SPEEDS = ['tokens_per_s', 'gflops'];

export function createTable(): { add: Report; text(about: Record<string, unknown>): string } {
  const figures = new Map<string, Measures>();
  return {
    add(name, value, unit) {
      const at = name.lastIndexOf('.');
      const figure = figures.get(name.slice(0, at)) ?? {};
      figure[name.slice(at + 1)] = { value, unit };
      figures.set(name.slice(0, at), figure);
    },
    text(about) {
      const lines = [...figures].filter(([name]) => !name.startsWith('peers.')).flatMap(([name, measures]) => {
        const speed = SPEEDS.find((measure) => measure in measures);
        if (!speed) return [];
        const share = measures.share_of_product ?? measures.share_of_bandwidth;
        const peer = name.startsWith('train.') ? figures.get(name.replace('train.', 'peers.torch.')) : undefined;
        const cells = [
          name, `${format(measures[speed].value)} ${measures[speed].unit}`, share ? `${(100 * share.value).toFixed(0)} %` : '',
          measures.tensor_bytes ? megabytes(measures.tensor_bytes.value) : '',
          peer ? `${format(peer.tokens_per_s.value)} ${peer.tokens_per_s.unit}, ${megabytes(peer.tensor_bytes.value)}` : '', measures.vs_torch ? `${measures.vs_torch.value.toFixed(2)} ×` : '',
        ];
        return [`| ${cells.join(' | ')} |`];
      });
      return [
        Object.entries(about).map(([key, value]) => `${key} ${String(value)}`).join(' · '), '',
        '| figure | speed | share of the device\'s own product, or bandwidth | tensors | PyTorch (bf16, flash attention) | over PyTorch |', '| --- | --- | --- | --- | --- | --- |', ...lines,
      ].join('\n');
    },
  };
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;

export function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
