/** What tests use of build-cuda.mjs. */
export function buildEmulatedDriver(): Promise<{ path: string; built: boolean; seconds: number }>;
export function findNvcc(): { command: string; version: string } | null;
export function checkCublasLt(): Promise<boolean>;
