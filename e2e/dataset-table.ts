/** A dataset's table as the stories use it: rows brought in, cells found, keys pressed. Not a story. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import { expect, type Workbench } from './workbench.ts';

export const grid = (page: Page) => page.getByRole('grid');
/** `row` from 1 as the table counts; `column` from 1 among the texts. */
export const cell = (page: Page, row: number, column: number) => page.locator(`[role=row][aria-rowindex="${row + 1}"] > [aria-colindex="${column + 2}"]`);
export const press = async (page: Page, ...keys: string[]): Promise<void> => {
  for (const key of keys) await page.keyboard.press(key);
};

/** Types into the field that has the focus once it has it: keys before that would be nobody's. */
export async function typeInto(field: Locator, text: string, options?: { delay: number }): Promise<void> {
  await expect(field).toBeFocused();
  await field.page().keyboard.type(text, options);
}
/** The open cell. */
export const open = (page: Page) => grid(page).getByRole('textbox');

export function writeRows(workbench: Workbench, name: string, rows: (string | object)[]): string {
  const path = join(workbench.folder, name);
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return path;
}
export const instruction = (i: number): object => ({ instruction: `question ${i}`, input: '', output: `answer ${i}` });

export async function importFile(workbench: Workbench, path: string, timeout = 15_000): Promise<void> {
  await workbench.go(`#/datasets/import?path=${encodeURIComponent(path)}`);
  await workbench.page.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(grid(workbench.page)).toBeVisible({ timeout });
}
