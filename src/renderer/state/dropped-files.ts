/**
 * What was dropped on the window, as paths main can read: in Electron where the files lie; in a browser, which knows no path, the files are sent
 * to the host first (`/upload/<batch>/<relative path>`, one batch a drop) and the paths are those of the copies. Folders come whole.
 * One function for both: whoever takes a drop need not know where the window runs.
 */
import { bridge } from './client.ts';

/** Sent at once. */
const AT_ONCE = 3;

/** Whether what is being dragged are files; for dragover, when nothing more can be known. */
export function dragsFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

/** One path a dropped file or folder, in order. Call it in the drop event itself: a moment later the browser forgets what was dropped. */
export async function pathsOfDrop(event: DragEvent): Promise<string[]> {
  event.preventDefault();
  const { items, files } = event.dataTransfer!;
  if (bridge) return [...files].map((file) => bridge!.pathForFile(file));
  const entries = [...items].filter(({ kind }) => kind === 'file').map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  // not randomUUID: that one is missing where the host is asked over plain HTTP from another machine
  const batch = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const paths: string[] = [];
  for (const { entry, file } of entries) {
    // a drag made by a script or a test has no file system behind it, only the file
    if (entry === null) paths.push((await upload(batch, [file!.name], file!)).path);
    else paths.push(await uploadEntry(batch, entry));
  }
  return paths;
}

async function uploadEntry(batch: string, entry: FileSystemEntry): Promise<string> {
  if (entry instanceof FileSystemFileEntry) return (await upload(batch, [entry.name], await fileOf(entry))).path;
  const files = await filesBelow(entry as FileSystemDirectoryEntry);
  if (files.length === 0) throw new Error(`${entry.name}: an empty folder`);
  let folder = '';
  const next = files.values();
  const sender = async (): Promise<void> => {
    for (const file of next) ({ folder } = await upload(batch, file.fullPath.split('/').slice(1), await fileOf(file)));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  const separator = folder.includes('\\') ? '\\' : '/';
  return `${folder}${separator}${entry.name}`;
}

async function upload(batch: string, path: string[], file: File): Promise<{ path: string; folder: string }> {
  const response = await fetch(`/upload/${[batch, ...path].map(encodeURIComponent).join('/')}`, { method: 'POST', body: file });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as { path: string; folder: string };
}

async function filesBelow(folder: FileSystemDirectoryEntry): Promise<FileSystemFileEntry[]> {
  const reader = folder.createReader();
  const files: FileSystemFileEntry[] = [];
  // a reader gives a hundred entries at a time, and none when it is through
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (entry instanceof FileSystemFileEntry) files.push(entry);
      else files.push(...(await filesBelow(entry as FileSystemDirectoryEntry)));
    }
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
