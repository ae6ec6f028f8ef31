/**
 * A graphics card in software for tests: SwiftShader, which Debian's chromium package ships with a Vulkan loader, where the machine has no Vulkan driver of
 * its own. Slow, but right. Linux only; for tests only: the workbench never asks for it.
 */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SHIPPED = '/usr/lib/chromium';
const DRIVERS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
/** The loader alone, in a folder of its own: the system's libraries stay what they are. */
const folder = fileURLToPath(new URL('../build/vulkan', import.meta.url));

/** Makes it what processes started from now on find, where there is nothing else. */
export function offerSoftwareVulkan(): void {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  const [driver, loader] = ['vk_swiftshader_icd.json', 'libvulkan.so.1'].map((name) => join(SHIPPED, name));
  const own = VK_DRIVER_FILES ?? VK_ICD_FILENAMES ?? DRIVERS.some((path) => existsSync(path) && readdirSync(path).length > 0);
  if (process.platform !== 'linux' || own || !existsSync(driver) || !existsSync(loader)) return;
  mkdirSync(folder, { recursive: true });
  try {
    symlinkSync(loader, join(folder, 'libvulkan.so.1'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  process.env.VK_DRIVER_FILES = driver;
  process.env.LD_LIBRARY_PATH = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
}
