/** A report as a file: HTML anywhere, PDF where the shell can print one. Written beside and renamed in. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { reportHtml } from './html.ts';

export async function saveReport({ methodReports, shell }: Workbench, { id, path, format, language }: { id: number; path: string; format: 'html' | 'pdf'; language: 'en' | 'ko' }): Promise<void> {
  if (!isAbsolute(path)) throw new UserError(`${path}: not a whole path: choose a file`);
  const html = reportHtml(methodReports.get(id), language);
  if (format === 'pdf' && !shell.printPdf) throw new UserError('PDF files are written by the window of its own; here the browser prints them');
  const content = format === 'pdf' ? await shell.printPdf!(html) : html;
  const beside = `${path}.${process.pid}.part`;
  try {
    writeFileSync(beside, content);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new UserError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code}): choose another place`);
  }
}
