/**
 * A report as one HTML file that needs nothing else: styles within, no script, light and dark, and fit for paper. What is shown is what the page in
 * the window shows; nothing is measured here.
 */
import type { Share } from '../../shared/judging.ts';
import { type MethodReport, promptsOf, type ReportEntry, type ReportPart, roadSeconds } from '../../shared/method-report.ts';
import { formatBytes, formatSeconds } from '../terminal.ts';
import { type Words, WORDS } from './words.ts';

export function reportHtml(report: MethodReport, language: 'en' | 'ko'): string {
  const words = WORDS[language];
  const { name, settings, entries, judge, createdAt, finishedAt } = report;
  const at = (finishedAt ?? createdAt).slice(0, 16).replace('T', ' ');
  const facts = [[words.baseModel, settings.model], [words.instructions, settings.instructions], [words.preferences, settings.preferences], [words.prompts, String(promptsOf(report))], ...(settings.maxSteps > 0 ? [[words.stepLimit, String(settings.maxSteps)]] : [])];
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${text(name)} · ${words.title}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${text(name)}</h1><p>${words.title} · Attune · ${words.made} ${at} UTC</p></header>
${report.status === 'done' ? '' : `<p class="warn">${words.unfinished}</p>`}
<dl>${facts.map(([term, value]) => `<div><dt>${term}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>
<h2>${words.quality}</h2>
${quality(entries, judge.most, words)}
<ul class="notes">${[...words.notes, `${words.rule}: ${judge.text}.`].map((note) => `<li>${text(note)}</li>`).join('')}</ul>
<h2>${words.cost}</h2>
${cost(entries, words)}
<h2>${words.examples}</h2>
${examples(entries, words)}
</body>
</html>
`;
}

function quality(entries: ReportEntry[], most: number | null, words: Words): string {
  const scored = (['reward', 'gold'] as const).filter((by) => entries.some(({ measure }) => measure?.[by]));
  const two = (value: number): string => value.toFixed(2);
  const rows = entries.filter(({ measure }) => measure).map(({ method, measure }) => {
    const { versus, score, kl, perplexity, preferenceAccuracy, answerTokens } = measure!;
    return row(methodName(method, words), [
      versus ? bar(versus, words) : '',
      versus ? spread(versus.rate, percent) : '',
      spread(score, two),
      ...scored.map((by) => (measure![by] ? spread(measure![by], two) : '')),
      kl ? spread(kl, two) : '',
      perplexity.toPrecision(4),
      spread(preferenceAccuracy, percent),
      answerTokens.toFixed(1),
    ]);
  });
  return table([words.method, words.versus, words.rate, most === null ? words.score : `${words.score} ${words.of} ${most}`, ...scored.map((by) => words[by]), words.kl, words.perplexity, words.pairs, words.length], rows);
}

function cost(entries: ReportEntry[], words: Words): string {
  const rows = entries.filter(({ trained }) => trained).map((entry) => {
    const { method, trained, models } = entry;
    const road = roadSeconds(entries, method);
    const { seconds, peakMemoryBytes, tokens, steps } = trained!;
    return row(methodName(method, words), [
      formatSeconds(seconds), road === null ? '' : formatSeconds(road), peakMemoryBytes === null ? '' : formatBytes(peakMemoryBytes),
      tokens.toLocaleString('en-US'), steps.toLocaleString('en-US'), String(models),
    ]);
  });
  return table([words.method, words.time, words.road, words.memory, words.tokens, words.steps, words.models], rows);
}

function examples(entries: ReportEntry[], words: Words): string {
  const measured = entries.filter(({ measure }) => measure);
  const prompts = measured[0]?.measure?.examples.map(({ prompt }) => prompt) ?? [];
  return prompts
    .map((prompt, i) => `<section><h3>${text(prompt)}</h3><dl>${measured.map(({ method, measure }) => `<div><dt>${methodName(method, words)}</dt><dd>${text(measure!.examples[i]?.answer ?? '')}</dd></div>`).join('')}</dl></section>`)
    .join('\n');
}

function methodName(method: ReportPart, words: Words): string {
  const named: Partial<Record<ReportPart, string>> = { base: words.base, reward: words.rewardModel, gold: words.goldModel, rejection: words.rejection, simpo: 'SimPO' };
  return text(named[method] ?? method.toUpperCase());
}

function bar({ win, tie, loss }: { win: number; tie: number; loss: number }, words: Words): string {
  const all = win + tie + loss;
  const part = (name: string, count: number): string => (count === 0 ? '' : `<i class="${name}" style="width:${((100 * count) / all).toFixed(2)}%"></i>`);
  return `<div class="bar">${part('win', win)}${part('tie', tie)}${part('loss', loss)}</div><small>${win} ${words.win} · ${tie} ${words.tie} · ${loss} ${words.loss}</small>`;
}

function spread({ value, low, high }: Share, show: (value: number) => string): string {
  return `${show(value)}<br><small>${show(low)} – ${show(high)}</small>`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const table = (head: string[], rows: string[]): string => `<table><thead><tr>${head.map((cell) => `<th scope="col">${text(cell)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
const row = (head: string, cells: string[]): string => `<tr><th scope="row">${head}</th>${cells.map((cell) => `<td>${cell || '–'}</td>`).join('')}</tr>`;

/** As text of a page, whatever a model wrote. */
function text(value: string): string {
  return value.replace(/[&<>"]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character]!);
}

const STYLE = `
:root { color-scheme: light dark; --text: light-dark(#1c2226, #e4e8ea); --soft: light-dark(#525c63, #a6b0b6); --line: light-dark(#dcdfe2, #2e3438); --ground: light-dark(#fff, #141719); --win: light-dark(#0072b2, #56b4e9); --tie: light-dark(#c9ced2, #4a5258); --loss: light-dark(#c24e00, #f0894a); }
body { max-width: 1080px; margin: 32px auto; padding: 0 24px; background: var(--ground); color: var(--text); font: 14px/1.5 system-ui, 'Noto Sans', 'Noto Sans KR', 'Noto Sans CJK KR', sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 24px; } h2 { margin: 32px 0 8px; font-size: 17px; } h3 { margin: 16px 0 4px; font-size: 14px; white-space: pre-wrap; }
header p, small, dt, .notes { color: var(--soft); } header p { margin: 0 0 16px; } small, .notes { font-size: 12px; } .notes { padding-left: 18px; }
dl { margin: 0; } dl > div { display: grid; grid-template-columns: 180px 1fr; gap: 12px; } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 6px 8px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; } thead th { color: var(--soft); font-size: 12px; font-weight: 500; }
.bar { display: flex; width: 160px; height: 12px; overflow: hidden; border-radius: 3px; } .bar i { display: block; } .win { background: var(--win); } .tie { background: var(--tie); } .loss { background: var(--loss); }
.warn { color: light-dark(#7d5200, #e3b04b); }
section, tr { break-inside: avoid; }
@media print { :root { color-scheme: light; } body { margin: 0; max-width: none; font-size: 11px; } .bar { width: 110px; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`;
