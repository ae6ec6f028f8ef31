/** What can be done with a report, from the list and from its own page. */
import type { MethodReport } from '../../../shared/method-report.ts';
import type { MenuItem } from '../../components/Menu.svelte';
import * as m from '../../paraglide/messages.js';
import { language } from '../../state/language.svelte.ts';
import { attempt, choosePath, confirm, notify } from '../../state/prompts.svelte.ts';
import { go, route } from '../../state/route.svelte.ts';
import { api, workbench } from '../../state/workbench.svelte.ts';

export function reportItems(report: MethodReport): MenuItem[] {
  const { id, status } = report;
  return [
    ...(status === 'running' ? [{ label: m.reports_stop(), run: () => void attempt(() => api.methodReports.stop({ id })) }] : []),
    ...(status !== 'running' && status !== 'done' ? [{ label: m.reports_resume(), run: () => void attempt(() => api.methodReports.resume({ id })) }] : []),
    { label: m.reports_save_html(), run: () => void save(report, 'html') },
    ...(workbench.about?.shell.pdf ? [{ label: m.reports_save_pdf(), run: () => void save(report, 'pdf') }] : []),
    'separator',
    { label: m.delete(), run: () => void remove(report), danger: true, disabled: status === 'running' },
  ];
}

export async function save({ id, name }: MethodReport, format: 'html' | 'pdf'): Promise<void> {
  const path = await choosePath({ kind: 'save', title: m.reports_save_title(), defaultName: `${name}.${format}`, extensions: [format] });
  if (path === null) return;
  const done = await attempt(() => api.methodReports.save({ id, path, format, language: language() }).then(() => true));
  if (done) notify('good', m.reports_saved({ path }));
}

async function remove({ id, name }: MethodReport): Promise<void> {
  if (!(await confirm({ title: m.reports_delete_title({ name }), text: m.reports_delete_text(), action: m.delete(), danger: true }))) return;
  const here = route.screen === 'reports' && route.rest[0] === String(id);
  const done = await attempt(() => api.methodReports.remove({ id }).then(() => true));
  if (done && here) go('reports');
}
